"""What comes before a provider is called: may this call go now, and if not, when and why.

``gate`` asks and reports, ``pace`` turns a call and its model's limits into numbers, ``results`` says what
an attempt taught. The rules themselves are three Lua scripts that run inside Valkey, so that all
processes share one count: ``admit`` (breaker, limits, queue), ``report`` (what came of it) and ``retry``
(the budget of retries). Nothing here is needed for correctness: without Valkey every call goes at once.
"""
