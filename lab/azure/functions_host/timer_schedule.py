"""When a timer fires: an NCRONTAB expression, read by croniter, or a fixed time span between calls.

Times are UTC, as on Azure without WEBSITE_TIME_ZONE."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from lab.azure.functions_host.host_json import HostJsonError, timespan

VALUE = r"(?:\d+|[a-z]{3,})"
PART = rf"(?:\*|{VALUE}(?:-{VALUE})?)(?:/\d+)?"
NCRONTAB = re.compile(rf"{PART}(?:,{PART})*(?: {PART}(?:,{PART})*)*", re.IGNORECASE)  # croniter accepts more
SUNDAY_AS_7 = re.compile(r".* (?:.*,)?(?:\w+-)?7[^ /]*")
LEAST_S = 0.001
FIELDS = (5, 6)  # without and with seconds, "NCRONTAB expressions" of the timer trigger's reference


class ScheduleError(ValueError):
    """The schedule cannot be read; the message shows it."""


@dataclass(frozen=True)
class TimerSchedule:
    """`expression`: second (if six fields), minute, hour, day, month, day of the week. `every`: set instead of it."""

    expression: str
    every: timedelta | None = None

    @classmethod
    def parse(cls, text: str) -> TimerSchedule:
        """Raises ScheduleError."""
        from croniter import CroniterError, croniter  # here, as only an app with a timer needs it

        schedule = cls(" ".join(text.split()))
        if ":" in text:
            return cls(text, cls._span(text))
        if len(schedule.expression.split()) not in FIELDS:
            raise ScheduleError(f"the schedule {text!r} must have six fields: second minute hour day month weekday")
        if not NCRONTAB.fullmatch(schedule.expression) or SUNDAY_AS_7.fullmatch(schedule.expression):
            raise ScheduleError(f"the schedule {text!r} cannot be read: NCRONTAB has only * , - / and 0 to 6 for days")
        try:
            croniter(schedule.expression, second_at_beginning=True)
        except (CroniterError, ValueError) as error:
            raise ScheduleError(f"the schedule {text!r} cannot be read: {error}") from error
        return schedule

    @staticmethod
    def _span(text: str) -> timedelta:
        try:
            return timedelta(seconds=timespan(text, LEAST_S))
        except HostJsonError as error:
            raise ScheduleError(f"the schedule {text!r} cannot be read as hh:mm:ss") from error

    def after(self, moment: datetime) -> datetime:
        """The first time later than `moment`."""
        if self.every is not None:
            return moment + self.every
        from croniter import croniter

        following: datetime = croniter(self.expression, moment, second_at_beginning=True).get_next(datetime)
        return following
