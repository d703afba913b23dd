"""Forms of the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import authenticate
from django.contrib.auth.forms import (
    AuthenticationForm,
    PasswordChangeForm,
    PasswordResetForm,
    SetPasswordForm,
    UserCreationForm,
)
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from conversations.password_links import can_mail
from conversations.sign_in import wait_seconds, wait_text

if TYPE_CHECKING:
    _UserForm = UserCreationForm[User]
    _SetPasswordForm = SetPasswordForm[User]
else:  # generic for the type checker alone
    _UserForm = UserCreationForm
    _SetPasswordForm = SetPasswordForm

NAME_HELP = "Letters, digits and @ . + - _"
STRENGTH_HELP = "At least 8 characters, not only digits, not a common one."
ADDRESS_HELP = "Only for a link to a new password, should you forget yours."
NOT_ALIKE = "The two passwords are not the same."


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
    error_messages = {**UserCreationForm.error_messages, "password_mismatch": NOT_ALIKE}

    class Meta:
        model = User
        fields = ("username", "email")
        labels = {"username": "Name", "email": "E-mail, if you like"}
        error_messages = {
            "username": {
                "unique": "This name is taken. Choose another one.",
                "invalid": "A name has letters, digits and @ . + - _ alone.",
            }
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.fields["username"].help_text = NAME_HELP
        self.fields["password1"].help_text = STRENGTH_HELP
        self.fields["password2"].help_text = ""
        self.fields["password2"].label = "Password again"
        if can_mail():
            self.fields["email"].help_text = ADDRESS_HELP
            self.fields["email"].widget.attrs["autocomplete"] = "email"
        else:
            del self.fields["email"]


class NewPasswordForm(PasswordChangeForm):
    """Tries at the present password count like tries to sign in."""

    error_messages = {
        **PasswordChangeForm.error_messages,
        "password_mismatch": NOT_ALIKE,
        "password_incorrect": "This is not your present password.",
    }

    def __init__(self, user: User, *args: Any, request: HttpRequest | None = None, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.request = request
        self.label_suffix = ""
        words = {
            "old_password": "Present password",
            "new_password1": "New password",
            "new_password2": "New password again",
        }
        for name, label in words.items():
            self.fields[name].label = label
            self.fields[name].help_text = ""
        self.fields["new_password1"].help_text = STRENGTH_HELP
        self.fields["old_password"].widget.attrs.pop("autofocus", None)

    def clean_old_password(self) -> str:
        return _present(self.request, self.user, self.cleaned_data["old_password"])


def _present(request: HttpRequest | None, person: User, given: str) -> str:
    """The present password as it was given, or the reason why it is not taken."""
    if authenticate(request, username=person.get_username(), password=given) is None:
        if seconds := wait_seconds(request):
            raise ValidationError(wait_text(seconds), code="too_many_tries")
        raise ValidationError(NewPasswordForm.error_messages["password_incorrect"], code="password_incorrect")
    return given


class AddressForm(forms.Form):
    """Whoever sits down at somebody's open session must not direct links for a new password to themselves."""

    email = forms.EmailField(max_length=254, required=False, label="E-mail", help_text=ADDRESS_HELP)
    present_password = forms.CharField(
        label="Present password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "id": "address-password"}),
    )

    def __init__(self, person: User, *args: Any, request: HttpRequest | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.initial["email"] = person.email
        self.person = person
        self.request = request
        self.fields["email"].widget.attrs["autocomplete"] = "email"

    def clean_present_password(self) -> str:
        return _present(self.request, self.person, self.cleaned_data["present_password"])


class ForgottenForm(PasswordResetForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.fields["email"].label = "E-mail"
        self.fields["email"].widget.attrs["autofocus"] = True


class SetPassword(_SetPasswordForm):
    error_messages = {**SetPasswordForm.error_messages, "password_mismatch": NOT_ALIKE}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.fields["new_password1"].help_text = STRENGTH_HELP
        self.fields["new_password2"].label = "New password again"
        self.fields["new_password2"].help_text = ""
        self.fields["new_password1"].widget.attrs["autofocus"] = True


class ApiKeyForm(forms.Form):
    name = forms.CharField(max_length=100, label="What is the new key for?")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.fields["name"].widget.attrs.update(placeholder="laptop", autocomplete="off", id="key-name")
