"""Door: the context lens as a page of its own, for who has no scripts."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from conversations import turns
from conversations.database import in_database
from conversations.exceptions import NotFound, Refusal
from conversations.launch import stop_summary, summarise
from conversations.lenses import Mark, change_context, read_lens
from conversations.models import ContextMark, ContextPolicy
from conversations.models.ids import new_id
from conversations.pages import trusted_types
from conversations.request_threads import release_request_thread
from conversations.runtime import get_runtime
from conversations.summaries import drop_summaries

# A slower summary goes on; the page then shows that it is being made.
SUMMARY_SECONDS = 25.0
ROLES = ("user", "assistant")


@login_required
async def context_page(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """Show what goes with the next question; a POST changes it, summarises or sends in full again."""
    user = await request.auser()
    if not isinstance(user, User) or request.method not in ("GET", "HEAD", "POST"):
        raise Http404
    refusal: Refusal | None = None
    try:
        if request.method == "POST":
            await _carry_out(request, user, conversation_id)
            return HttpResponseRedirect(reverse("context_page", args=[conversation_id]))
    except NotFound as error:
        raise Http404(error.detail) from error
    except Refusal as error:
        await in_database(turns.record_refused, error)
        refusal = error
    return await in_database(_page, request, user, conversation_id, refusal)


@trusted_types
def _page(
    request: HttpRequest, user: User, conversation_id: uuid.UUID, refusal: Refusal | None
) -> HttpResponse:
    try:
        lens = read_lens(user_id=user.pk, conversation_id=conversation_id)
    except NotFound as error:
        raise Http404(error.detail) from error
    except Refusal as error:
        refusal, lens = refusal or error, None
    context = {
        "lens": lens,
        "messages": [] if lens is None else reversed(lens["messages"]),
        "conversation_id": conversation_id,
        "policies": ContextPolicy.choices,
        "refusal": refusal,
    }
    status = 200 if refusal is None else refusal.status
    return render(request, "conversations/context.html", context, status=status)


async def _carry_out(request: HttpRequest, user: User, conversation_id: uuid.UUID) -> None:
    wanted = request.POST.get("do", "save")
    if wanted == "summarise":
        await _summarise(user, conversation_id)
    elif wanted == "stop":
        await stop_summary(get_runtime(), user_id=user.pk, conversation_id=conversation_id)
    elif wanted == "drop":
        await in_database(drop_summaries, user_id=user.pk, conversation_id=conversation_id)
    else:
        policy = request.POST.get("policy", "")
        await in_database(
            change_context,
            user_id=user.pk,
            conversation_id=conversation_id,
            policy=policy if policy in ContextPolicy.values else None,
            as_default=request.POST.get("as_default") == "1",
            marks=_marks(request.POST.items()),
        )


def _marks(fields: Any) -> list[Mark]:
    """The fields named "mark:<turn id>:<role>"; what cannot be read is left alone."""
    marks = []
    for name, value in fields:
        kind, _, rest = name.partition(":")
        turn_id, _, role = rest.partition(":")
        if kind != "mark" or role not in ROLES or value not in ContextMark.values:
            continue
        try:
            marks.append(Mark(uuid.UUID(turn_id), role, value))
        except ValueError:
            continue
    return marks


async def _summarise(user: User, conversation_id: uuid.UUID) -> None:
    ended = await summarise(
        get_runtime(), user_id=user.pk, conversation_id=conversation_id, summary_id=new_id()
    )
    if ended is None:
        return
    release_request_thread()
    try:
        await asyncio.wait_for(ended.wait(), SUMMARY_SECONDS)
    except TimeoutError:
        return
