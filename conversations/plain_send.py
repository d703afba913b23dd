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

from conversations.api.sending import Sent, send
from conversations.api.watching import Watch
from conversations.choices import read_length
from conversations.database import in_database
from conversations.exceptions import NotFound, Refusal
from conversations.launch import schedule, stop, switch
from conversations.live import LiveStream
from conversations.models import Conversation
from conversations.models.ids import new_id
from conversations.pages import trusted_types
from conversations.queueing import Order
from conversations.request_threads import release_request_thread
from conversations.runtime import Runtime, get_runtime
from conversations.thread_page import page_context
from conversations.turns import start_turn, start_version

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
            max_output_tokens=read_length(request.POST.get("max_output_tokens", "")),
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


@login_required
@require_POST
async def redirect_plainly(
    request: HttpRequest, conversation_id: uuid.UUID, turn_id: uuid.UUID
) -> HttpResponse:
    """A button of an answer that waits, failed or broke off: ``choice`` is the action, and its model."""
    user = await request.auser()
    if not isinstance(user, User):
        raise Http404
    conversation = await in_database(_conversation, user, str(conversation_id))
    action, _, model = request.POST.get("choice", "").partition(" ")
    try:
        await _go_on(user.pk, conversation.pk, turn_id, action, model)
    except NotFound as error:
        raise Http404(error.detail) from error
    except Refusal as refusal:
        return await in_database(_refused, request, user, conversation, "", refusal)
    return HttpResponseRedirect(reverse("conversation", args=[conversation.pk]))


async def _go_on(
    user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID, action: str, model: str
) -> None:
    runtime = get_runtime()
    match action:
        case "stop":
            await stop(runtime, user_id=user_id, conversation_id=conversation_id, turn_id=turn_id)
        case "schedule":
            await schedule(runtime, user_id=user_id, conversation_id=conversation_id, turn_id=turn_id)
        case "switch":
            generation = await switch(
                runtime, user_id=user_id, conversation_id=conversation_id, turn_id=turn_id, model=model
            )
            await _watch(runtime, await runtime.following.stream_of(generation), elsewhere=True)
        case "retry" | "continue":
            verb = partial(
                start_version,
                user_id=user_id,
                conversation_id=conversation_id,
                turn_id=turn_id,
                generation_id=new_id(),
                version="retry" if action == "retry" else "continue",
                order=Order(),
            )
            await _wait(await send(verb, user_id=user_id))
        case _:
            raise NotFound("This choice")


async def _watch(runtime: Runtime, stream: LiveStream, *, elsewhere: bool) -> None:
    release_request_thread()
    async with Watch(runtime, stream, elsewhere=elsewhere) as watch:
        await watch.ended_or_choice(seconds=ANSWER_SECONDS)


async def _wait(sent: Sent) -> None:
    if sent.stream is None:
        return
    await _watch(sent.runtime, sent.stream, elsewhere=sent.started.replayed)


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
