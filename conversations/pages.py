"""Doors: the pages. They authorise, ask for what a template needs, and render."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from typing import Any, TypeVar, cast

from csp.decorators import csp_update
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET, require_POST, require_safe

from conversations.export import export_response, to_page
from conversations.forms import SignInForm, SignUpForm
from conversations.models import Conversation, Generation, Preferences, Turn
from conversations.preferences import change_preferences
from conversations.rail import archived
from conversations.search import search
from conversations.sign_in import wait_seconds
from conversations.thread_page import is_usable, page_context

THEMES = ("light", "dark")
View = TypeVar("View", bound=Callable[..., HttpResponse])

# Only the sanitiser may make HTML out of text here. The admin's own scripts could not live under this.
_csp = csp_update({"require-trusted-types-for": ["'script'"], "trusted-types": ["dompurify"]})


def trusted_types(view: View) -> View:
    return cast("View", _csp(view))


def site_context(request: HttpRequest) -> dict[str, Any]:
    """What every template knows: the theme and the rail as chosen by cookie, and whether one may sign up."""
    theme = request.COOKIES.get("theme", "")
    return {
        "theme": theme if theme in THEMES else "",
        "rail_hidden": request.COOKIES.get("rail") == "hidden",
        "signup_open": settings.SIGNUP_OPEN,
    }


# --- Account ------------------------------------------------------------------


class SignIn(LoginView):
    template_name = "registration/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_invalid(form)
        seconds = wait_seconds(self.request)
        if seconds:
            response.status_code = 429
            response["Retry-After"] = str(seconds)
        return response


class SignOut(LogoutView):
    http_method_names = ["post", "options"]


def sign_up(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("home")
    if not settings.SIGNUP_OPEN:
        return render(request, "registration/signup_closed.html", status=403)
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        login(request, form.save())
        return redirect("home")
    return render(request, "registration/signup.html", {"form": form})


# --- Chat -----------------------------------------------------------------------


@gzip_page
@login_required
@require_GET
@trusted_types
def home(request: HttpRequest) -> HttpResponse:
    """A new chat. It becomes a conversation when something is typed. ``q`` and ``archived`` fill the rail."""
    user = _user(request)
    context = page_context(user, None)
    return render(request, "conversations/chat.html", {**context, **_searched(request, user)})


@gzip_page
@login_required
@require_safe
@trusted_types
def conversation(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    user = _user(request)
    found = _own(user, conversation_id)
    before, linked = _turn(request, found, "before"), None
    with contextlib.suppress(Http404):  # it was deleted: the conversation is still there
        linked = _turn(request, found, "turn")
    return render(request, "conversations/chat.html", page_context(user, found, before=before, linked=linked))


def _turn(request: HttpRequest, conversation: Conversation, name: str) -> Turn | None:
    """The turn that a parameter of the address names."""
    with contextlib.suppress(ValueError):
        if turn_id := request.GET.get(name):
            turns = conversation.turns.select_related("parent")
            return get_object_or_404(turns, turn_id=uuid.UUID(turn_id))
    return None


@login_required
@require_GET
def search_conversations(request: HttpRequest) -> HttpResponse:
    """What the rail's search finds, as JSON for the script: ``q``, or ``archived`` for all archived ones."""
    found = _searched(request, _user(request)).get("found") or []
    return JsonResponse({"results": [one.data() for one in found]})


def _searched(request: HttpRequest, user: User) -> dict[str, Any]:
    query = request.GET.get("q", "").strip()
    if query:
        return {"query": query, "found": search(user, query)}
    return {"query": "", "found": archived(user)} if request.GET.get("archived") else {}


@login_required
@require_POST
def create_conversation(request: HttpRequest) -> HttpResponse:
    """An empty conversation: JSON for the script, a redirect for a plain form. Empty ones are not listed."""
    temporary = request.POST.get("temporary") == "1"
    made = Conversation.objects.create(owner=_user(request), temporary=temporary)
    url = reverse("conversation", args=[made.pk])
    if request.accepts("text/html"):
        return redirect(url)
    return JsonResponse({"id": str(made.pk), "url": url}, status=201)


@login_required
@require_POST
def choose_model(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """Remember the model for this conversation and as the person's default."""
    user = _user(request)
    found = _own(user, conversation_id)
    model = request.POST.get("model", "")
    if not is_usable(model):
        return JsonResponse(
            {"code": "unknown_model", "detail": "This model does not exist here."}, status=422
        )
    Conversation.objects.filter(pk=found.pk).update(model=model)
    Preferences.objects.update_or_create(user=user, defaults={"default_model": model})
    return HttpResponse(status=204)


@login_required
@require_POST
def set_preferences(request: HttpRequest) -> HttpResponse:
    """What a person wants on every device: ``titles`` 1 or 0."""
    wanted = request.POST.get("titles", "1") != "0"
    change_preferences(user_id=int(_user(request).pk), titles=wanted)
    return HttpResponse(status=204)


@login_required
@require_GET
def answer_text(request: HttpRequest, conversation_id: uuid.UUID, generation_id: uuid.UUID) -> HttpResponse:
    """An answer as it was written, in Markdown, for copying."""
    found = get_object_or_404(
        Generation.objects.select_related("continues"),
        pk=generation_id,
        conversation_id=conversation_id,
        conversation__owner=_user(request),
    )
    return HttpResponse(found.answer_text(), content_type="text/plain; charset=utf-8")


@login_required
@require_GET
def export_conversation(request: HttpRequest, conversation_id: uuid.UUID, extension: str) -> HttpResponse:
    found = Conversation.objects.select_related("head_turn").owned_by(_user(request))
    return export_response(get_object_or_404(found, pk=conversation_id), extension)


@login_required
@require_GET
@trusted_types
def print_conversation(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """All of the branch that is shown, to be printed; ``costs`` 0 leaves out what it took."""
    found = Conversation.objects.select_related("head_turn").owned_by(_user(request))
    costs = request.GET.get("costs") != "0"
    return HttpResponse(to_page(get_object_or_404(found, pk=conversation_id), alone=False, costs=costs))


def _user(request: HttpRequest) -> User:
    user = request.user
    if not isinstance(user, User):
        raise Http404
    return user


def _own(user: User, conversation_id: uuid.UUID) -> Conversation:
    return get_object_or_404(Conversation.objects.owned_by(user), pk=conversation_id)
