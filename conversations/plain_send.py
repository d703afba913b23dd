"""Door: a question sent by the plain form, without scripts. The page comes back with the answer."""

from __future__ import annotations

import contextlib
import uuid
from functools import partial

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from conversations.api.base import release_request_thread
from conversations.api.sending import Sent, send
from conversations.api.watching import Watch
from conversations.database import in_database
from conversations.exceptions import NotFound, Refusal
from conversations.models import Conversation
from conversations.models.ids import new_id
from conversations.pages import trusted_types
from conversations.queueing import Order
from conversations.thread_page import page_context
from conversations.turns import start_turn

# Longer answers go on while the page, which then asks again by itself, shows what there is.
ANSWER_SECONDS = 25.0


@login_required
@require_POST
async def send_plainly(request: HttpRequest) -> HttpResponse:
    """Ask, wait for the answer, and show the conversation. A refusal shows the page with the text in it."""
    user = await request.auser()
    if not isinstance(user, User):
        raise Http404
    text = request.POST.get("text", "").replace("\r\n", "\n")
    conversation = await in_database(_conversation, user, request.POST.get("conversation", ""))
    verb = partial(
        start_turn,
        user_id=user.pk,
        conversation_id=conversation.pk,
        turn_id=_uuid(request.POST.get("turn_id", "")) or new_id(),
        order=Order(
            text,
            request.POST.get("model", ""),
            max_output_tokens=_number(request.POST.get("max_output_tokens", "")),
            confirmed=request.POST.get("confirm") == "1",
            history=request.POST.get("history") != "0",
        ),
    )
    try:
        sent = await send(verb, user_id=user.pk)
    except NotFound as error:
        raise Http404(error.detail) from error
    except Refusal as refusal:
        return await in_database(_refused, request, user, conversation, text, refusal)
    await _wait(sent)
    return HttpResponseRedirect(reverse("conversation", args=[conversation.pk]))


async def _wait(sent: Sent) -> None:
    if sent.stream is None:
        return
    release_request_thread()
    async with Watch(sent.runtime, sent.stream, elsewhere=sent.started.replayed) as watch:
        await watch.ended(seconds=ANSWER_SECONDS)


@trusted_types
def _refused(
    request: HttpRequest, user: User, conversation: Conversation, text: str, refusal: Refusal
) -> HttpResponse:
    context = {**page_context(user, conversation), "draft": text, "refusal": refusal}
    return render(request, "conversations/chat.html", context, status=refusal.status)


def _conversation(user: User, wanted: str) -> Conversation:
    """The person's conversation of that id; a new one where none is named."""
    if not wanted:
        return Conversation.objects.create(owner=user)
    conversation_id = _uuid(wanted)
    if conversation_id is None:
        raise Http404
    owned = Conversation.objects.owned_by(user).select_related("head_turn")
    return get_object_or_404(owned, pk=conversation_id)


def _uuid(text: str) -> uuid.UUID | None:
    with contextlib.suppress(ValueError):
        return uuid.UUID(text)
    return None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None
