"""What the REST door reads and writes: declared fields only."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from conversations.models import Conversation, State, WaitingReason
from conversations.models.conversation import TITLE_LIMIT_CHARACTERS

SYSTEM_PROMPT_LIMIT_CHARACTERS = 20_000
MODEL_ID_LIMIT_CHARACTERS = 200
TURNS_PER_PAGE = 20
TURNS_PER_PAGE_LIMIT = 100
TEMPERATURE_LIMIT = 1_000.0  # the model's own limit is checked by the verb
TOKENS_LIMIT = 2_000_000_000

ANSWER_STATES = [state.value for state in State]


# --- Conversations --------------------------------------------------------------


class ConversationSummarySerializer(serializers.ModelSerializer[Conversation]):
    pinned = serializers.SerializerMethodField(help_text="Kept at the top of lists.")
    archived = serializers.SerializerMethodField(help_text="Left out of the usual list.")

    class Meta:
        model = Conversation
        fields: tuple[str, ...] = (
            "id",
            "title",
            "model",
            "temporary",
            "pinned",
            "archived",
            "created_at",
            "updated_at",
        )
        read_only_fields: tuple[str, ...] = fields

    def get_pinned(self, conversation: Conversation) -> bool:
        return conversation.pinned_at is not None

    def get_archived(self, conversation: Conversation) -> bool:
        return conversation.archived_at is not None


class ConversationSerializer(ConversationSummarySerializer):
    class Meta(ConversationSummarySerializer.Meta):
        fields = (*ConversationSummarySerializer.Meta.fields, "system_prompt")
        read_only_fields = fields


class _ConversationFields(serializers.Serializer[Any]):
    title = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=TITLE_LIMIT_CHARACTERS,
        help_text="Left out or empty: the first words of the first question.",
    )
    model = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=MODEL_ID_LIMIT_CHARACTERS,
        help_text="Model id of the next send, `provider:name`. Empty: the default.",
    )
    system_prompt = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        max_length=SYSTEM_PROMPT_LIMIT_CHARACTERS,
        help_text="Sent before every question of this conversation.",
    )


class ConversationCreateSerializer(_ConversationFields):
    temporary = serializers.BooleanField(
        required=False, default=False, help_text="Not listed, and deleted after a while without use."
    )


class ConversationChangeSerializer(_ConversationFields):
    pinned = serializers.BooleanField(required=False)
    archived = serializers.BooleanField(required=False)


class ConversationListQuery(serializers.Serializer[Any]):
    archived = serializers.BooleanField(
        required=False, default=False, help_text="List the archived ones instead of the others."
    )


class ExportQuery(serializers.Serializer[Any]):
    format = serializers.ChoiceField(choices=["json", "markdown"], default="json")


class OptionSerializer(serializers.Serializer[Any]):
    """Something that would help, with what the action needs."""

    action = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the metaclass takes it: no attribute is hidden
    model = serializers.CharField(required=False)
    cost_usd = serializers.CharField(required=False, help_text="The most it can cost.")
    max_output_tokens = serializers.IntegerField(required=False)
    run_at = serializers.DateTimeField(required=False, help_text="When it is sent.")
    resets_at = serializers.DateTimeField(required=False)
    budget_id = serializers.IntegerField(required=False, help_text="Of which more is asked for.")
    wanted = serializers.CharField(required=False, help_text="How much would do: tokens, or USD.")
    url = serializers.CharField(required=False, help_text="The page on which a person does it.")


class StatusSerializer(serializers.Serializer[Any]):
    """What goes on in a conversation: its live answer, else the last one."""

    conversation_id = serializers.UUIDField()
    busy = serializers.BooleanField(help_text="An answer is being written or waits; a send would be refused.")
    turn_id = serializers.UUIDField(allow_null=True)
    generation_id = serializers.UUIDField(allow_null=True)
    state = serializers.ChoiceField(choices=ANSWER_STATES, allow_null=True)
    model = serializers.CharField(allow_null=True)
    seq = serializers.IntegerField(allow_null=True, help_text="Number of deltas so far.")
    waiting_reason = serializers.ChoiceField(
        choices=[reason.value for reason in WaitingReason if reason.value], allow_null=True
    )
    retry_at = serializers.DateTimeField(allow_null=True)
    waiting_detail = serializers.CharField(allow_null=True, help_text="A sentence for a person.")
    options = OptionSerializer(many=True, allow_null=True, help_text="What can be done while it waits.")
    attempt = serializers.IntegerField(allow_null=True)
    max_attempts = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


# --- Messages ---------------------------------------------------------------------


class PartsSerializer(serializers.Serializer[Any]):
    """What the input consists of, in tokens; together they are all of it."""

    system = serializers.IntegerField(help_text="The system prompt.")
    questions = serializers.IntegerField(help_text="Your earlier messages.")
    answers = serializers.IntegerField(help_text="Earlier answers, and the beginning of a continued one.")
    summary = serializers.IntegerField(help_text="The summary of older messages.")
    tools = serializers.IntegerField()
    message = serializers.IntegerField(help_text="The message itself.")


class ReceiptSerializer(serializers.Serializer[Any]):
    """What an answer used. Counts are inclusive: cached within input, thinking within output."""

    input_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    thinking_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost_usd = serializers.CharField(allow_null=True, help_text="USD as a decimal; null = price unknown.")
    estimated = serializers.BooleanField(help_text="The provider did not report; our own count.")
    charged = serializers.BooleanField(help_text="False: the house bears it, or nothing was used.")
    rates = serializers.DictField(
        child=serializers.CharField(), allow_null=True, help_text="USD per million tokens, by kind."
    )
    price_version = serializers.IntegerField(allow_null=True)
    entry_id = serializers.UUIDField(allow_null=True, help_text="The ledger entry behind these figures.")
    breakdown = PartsSerializer(allow_null=True, help_text="Our shares of the input; null: nothing was used.")
    expected_rest_tokens = serializers.IntegerField(
        allow_null=True, help_text="Of an answer that was cut: how much more was probably to come."
    )
    first_token_ms = serializers.IntegerField(allow_null=True)
    duration_ms = serializers.IntegerField(allow_null=True)
    model = serializers.CharField()


class AnswerErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()
    options = OptionSerializer(many=True)


class NoteSerializer(serializers.Serializer[Any]):
    """`fallback`: another model answered (with `asked_model`, `model`, `reason`); `cached`: an earlier
    answer (with `since`); `trimmed`, `think_less`: what was changed so that it could be answered."""

    code = serializers.CharField()
    detail = serializers.CharField()
    asked_model = serializers.CharField(required=False)
    model = serializers.CharField(required=False)
    reason = serializers.CharField(required=False)
    since = serializers.DateTimeField(required=False)


class MessageSerializer(serializers.Serializer[Any]):
    """A question (`user`) or an answer (`assistant`). The members after `created_at` belong to answers."""

    role = serializers.ChoiceField(choices=["user", "assistant"])
    turn_id = serializers.UUIDField()
    text = serializers.CharField(help_text="Markdown. Of a continued answer: the whole.")
    created_at = serializers.DateTimeField()
    html = serializers.CharField(allow_null=True, help_text="Sanitised; only with `?html=true`.")
    generation_id = serializers.UUIDField(allow_null=True)
    continues = serializers.UUIDField(allow_null=True, help_text="The generation that this one continues.")
    state = serializers.ChoiceField(choices=ANSWER_STATES, allow_null=True)
    model = serializers.CharField(allow_null=True)
    seq = serializers.IntegerField(allow_null=True)
    finish_reason = serializers.CharField(allow_null=True)
    versions = serializers.IntegerField(allow_null=True, help_text="Number of versions of this answer.")
    receipt = ReceiptSerializer(allow_null=True)
    notes = NoteSerializer(many=True, help_text="What one should know about how the answer came about.")
    error = AnswerErrorSerializer(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class HistorySerializer(serializers.Serializer[Any]):
    results = MessageSerializer(many=True)
    next = serializers.URLField(allow_null=True, help_text="Where older messages are found.")


class HistoryQuery(serializers.Serializer[Any]):
    limit = serializers.IntegerField(
        required=False,
        default=TURNS_PER_PAGE,
        min_value=1,
        help_text=f"Turns to return, newest first choice; at most {TURNS_PER_PAGE_LIMIT}.",
    )
    before = serializers.UUIDField(
        required=False, default=None, help_text="Only turns before the one with this turn_id."
    )
    html = serializers.BooleanField(required=False, default=False, help_text="With sanitised HTML.")

    def validate_limit(self, limit: int) -> int:
        return min(limit, TURNS_PER_PAGE_LIMIT)


class AnswerQuery(serializers.Serializer[Any]):
    html = serializers.BooleanField(required=False, default=False, help_text="With sanitised HTML.")


class _LimitFields(serializers.Serializer[Any]):
    max_output_tokens = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=-TOKENS_LIMIT, max_value=TOKENS_LIMIT
    )
    history = serializers.BooleanField(
        required=False, default=True, help_text="False: without the earlier messages."
    )
    confirm = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Of a page: send even if a hard budget comes near its end. A key is never asked.",
    )


class _OrderFields(_LimitFields):
    model = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=MODEL_ID_LIMIT_CHARACTERS,
        help_text="Left out: the conversation's model.",
    )
    temperature = serializers.FloatField(
        required=False,
        allow_null=True,
        default=None,
        min_value=-TEMPERATURE_LIMIT,
        max_value=TEMPERATURE_LIMIT,
    )


class SendSerializer(_OrderFields):
    text = serializers.CharField(allow_blank=True, trim_whitespace=False)
    turn_id = serializers.UUIDField(
        required=False, help_text="Minted by the client. The same id again returns the same answer."
    )


class VersionSerializer(_LimitFields):
    generation_id = serializers.UUIDField(
        required=False, help_text="Minted by the client. The same id again returns the same answer."
    )


class SwitchSerializer(serializers.Serializer[Any]):
    model = serializers.CharField(max_length=MODEL_ID_LIMIT_CHARACTERS, help_text="Model id.")
    confirm = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Of a page: send even if a hard budget comes near its end. A key is never asked.",
    )


class RegenerateSerializer(VersionSerializer, _OrderFields):
    pass


class EditSerializer(_OrderFields):
    text = serializers.CharField(allow_blank=True, trim_whitespace=False)
    new_turn_id = serializers.UUIDField(
        required=False, help_text="Minted by the client. The same id again returns the same answer."
    )


# --- Models -----------------------------------------------------------------------


class PricesSerializer(serializers.Serializer[Any]):
    """USD per million tokens, as decimals."""

    input = serializers.CharField()
    cache_read = serializers.CharField()
    cache_write = serializers.CharField()
    tool_prompt = serializers.CharField()
    output = serializers.CharField()
    thinking = serializers.CharField()


class ModelSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the metaclass takes it: no attribute is hidden
    default = serializers.BooleanField(help_text="Used where a new conversation names no model.")
    context_window_tokens = serializers.IntegerField()
    max_output_tokens = serializers.IntegerField()
    default_output_tokens = serializers.IntegerField()
    default_temperature = serializers.FloatField(allow_null=True, help_text="null: takes none.")
    max_temperature = serializers.FloatField()
    streams = serializers.BooleanField()
    thinking = serializers.BooleanField()
    prices = PricesSerializer(allow_null=True, help_text="null = price unknown.")


class ModelListSerializer(serializers.Serializer[Any]):
    results = ModelSerializer(many=True)


# --- Errors -----------------------------------------------------------------------


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457 problem details. Members that do not apply are left out."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="A sentence for a person.")
    code = serializers.CharField(help_text="A word for a program; the list is in docs/api.md.")
    request_id = serializers.CharField()
    options = OptionSerializer(many=True, required=False, help_text="What would help.")
    resets_at = serializers.DateTimeField(required=False)
    retry_after = serializers.IntegerField(required=False, help_text="Seconds.")
    estimate = serializers.DictField(required=False, help_text="What the send would have taken.")
    errors = serializers.DictField(  # type: ignore[assignment]  # as above
        required=False, help_text="Faults by field."
    )
    error = AnswerErrorSerializer(required=False, help_text="Why the answer failed.")
    message = MessageSerializer(required=False, help_text="The answer as far as it came.")
