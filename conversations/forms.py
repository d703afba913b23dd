"""Forms of the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm, UserCreationForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from conversations.sign_in import wait_seconds, wait_text

if TYPE_CHECKING:
    _UserForm = UserCreationForm[User]
else:
    _UserForm = UserCreationForm  # generic for the type checker alone


class LimitedForm(AuthenticationForm):
    """Says how long to wait, where it was tried too often."""

    @property
    def wait_seconds(self) -> int:
        return wait_seconds(self.request)

    def get_invalid_login_error(self) -> ValidationError:
        if self.wait_seconds:
            return ValidationError(wait_text(self.wait_seconds), code="too_many_tries")
        return super().get_invalid_login_error()


class AdminSignInForm(LimitedForm, AdminAuthenticationForm):
    """Of the admin's own page."""


class SignInForm(LimitedForm):
    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": "This name and password do not go together. Both are case-sensitive.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.fields["username"].label = "Name"


class SignUpForm(_UserForm):
    class Meta:
        model = User
        fields = ("username",)
        labels = {"username": "Name"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.fields["username"].help_text = "Letters, digits and @ . + - _"
        self.fields["password1"].help_text = "At least 8 characters, not only digits, not a common one."
        self.fields["password2"].help_text = ""
        self.fields["password2"].label = "Password again"
