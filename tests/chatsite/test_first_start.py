from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from pytest_django import Settings

from billing.models import Account
from chatsite import first_start


@pytest.mark.django_db
def test_the_first_admin_gets_a_password_that_works_and_no_limits() -> None:
    made = first_start.ensure_admin()
    assert made.created
    assert len(made.password) >= 16
    user = authenticate(username="admin", password=made.password)
    assert isinstance(user, User)
    assert user.is_superuser
    assert Account.objects.get(user_id=user.pk).plan.name == "unlimited"


@pytest.mark.django_db
def test_a_second_start_makes_nobody_and_tells_no_password(root: User) -> None:
    again = first_start.ensure_admin(password="another")
    assert again == first_start.SignIn(username="root")
    assert User.objects.count() == 1
    assert authenticate(username="root", password="root-password") is not None


@pytest.mark.django_db
def test_a_given_password_is_set_and_not_repeated() -> None:
    made = first_start.ensure_admin(password="correct-horse-battery")
    assert made == first_start.SignIn(username="admin", created=True)
    assert authenticate(username="admin", password="correct-horse-battery") is not None


@pytest.mark.django_db
def test_nobody_becomes_admin_by_having_the_name() -> None:
    User.objects.create_user("admin")
    assert first_start.ensure_admin().username == ""
    assert not User.objects.get(username="admin").is_superuser


@pytest.mark.django_db
def test_the_tables_of_the_suite_are_up_to_date() -> None:
    assert first_start.pending_migrations() == []
    assert first_start.ensure_tables() == 0


def test_static_files_are_collected_only_when_one_changed(tmp_path: Path, settings: Settings) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "one.css").write_text("a {}")
    settings.STATICFILES_DIRS = [source]
    settings.STATIC_ROOT = tmp_path / "out"
    assert first_start.ensure_static_files()
    assert (tmp_path / "out" / "one.css").read_text() == "a {}"
    assert not first_start.ensure_static_files()
    (source / "one.css").write_text("b {}")
    os.utime(source / "one.css", (2**32, 2**32))  # Django compares times by the second
    assert first_start.ensure_static_files()
    assert (tmp_path / "out" / "one.css").read_text() == "b {}"


@pytest.mark.django_db
def test_prepare_tells_the_launcher_how_to_sign_in(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STATIC_ROOT = tmp_path / "static"
    monkeypatch.setenv("CHATSITE_ADMIN_PASSWORD", "correct-horse-battery")
    output = io.StringIO()
    call_command("prepare", stdout=output, stderr=io.StringIO())
    answer = json.loads(output.getvalue().splitlines()[-1])
    assert answer == {"username": "admin", "password": "", "created": True}


@pytest.mark.django_db
def test_prepare_says_when_the_name_is_taken(tmp_path: Path, settings: Settings) -> None:
    settings.STATIC_ROOT = tmp_path / "static"
    User.objects.create_user("admin")
    errors = io.StringIO()
    call_command("prepare", stdout=io.StringIO(), stderr=errors)
    assert 'The name "admin" belongs to an ordinary account' in errors.getvalue()
