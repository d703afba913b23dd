"""Celery tasks: doors to the watch and to the checks of the books."""

from __future__ import annotations

from celery import shared_task

from monitoring import books, delivery, incidents


@shared_task(name="monitoring.tasks.watch")  # type: ignore[untyped-decorator]  # celery ships no types
def watch() -> None:
    try:
        incidents.watch()
    finally:
        delivery.deliver_pending()


@shared_task(name="monitoring.tasks.check_touched")  # type: ignore[untyped-decorator]  # celery ships no types
def check_touched() -> None:
    books.check_touched()


@shared_task(name="monitoring.tasks.check_books")  # type: ignore[untyped-decorator]  # celery ships no types
def check_books() -> None:
    books.check_all()
