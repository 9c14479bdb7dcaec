"""Why kernels run as they do, in words for people: what follows a plan in the schedules that profiles and dumps show."""

from __future__ import annotations


def explain_serial(
    chunks: int, threads: int, amount: float, least: float, unit: str, obstacle: str = "one piece"
) -> str:
    """Why a kernel is not shared by threads; "" where it is. It has `amount` units of work, a fork pays from `least` on; if
    that is not the reason, it is the obstacle."""
    if chunks > 1:
        return ""
    if threads < 2:
        return "serial: one thread"
    if amount < least:
        return f"serial: {amount:,.0f} {unit}, a fork pays from {least:,.0f}"
    return f"serial: {obstacle or 'one piece'}"


def join_notes(*notes: object) -> str:
    """Those that are not empty, one after the other."""
    return "; ".join(text for text in map(str, notes) if text)
