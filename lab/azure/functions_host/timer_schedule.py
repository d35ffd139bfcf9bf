"""When a timer fires: an NCRONTAB expression, read by croniter, in UTC as on Azure without WEBSITE_TIME_ZONE."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

FIELDS = (5, 6)  # without and with seconds, "NCRONTAB expressions" of the timer trigger's reference


class ScheduleError(ValueError):
    """The schedule cannot be read; the message shows it."""


@dataclass(frozen=True)
class TimerSchedule:
    """`expression`: second (if six fields), minute, hour, day, month, day of the week."""

    expression: str

    @classmethod
    def parse(cls, text: str) -> TimerSchedule:
        """Raises ScheduleError."""
        from croniter import CroniterError, croniter  # here, as only an app with a timer needs it

        schedule = cls(" ".join(text.split()))
        if len(schedule.expression.split()) not in FIELDS:
            raise ScheduleError(f"the schedule {text!r} must have six fields: second minute hour day month weekday")
        try:
            croniter(schedule.expression, second_at_beginning=True)
        except (CroniterError, ValueError) as error:
            raise ScheduleError(f"the schedule {text!r} cannot be read: {error}") from error
        return schedule

    def after(self, moment: datetime) -> datetime:
        """The first time later than `moment`."""
        from croniter import croniter

        following: datetime = croniter(self.expression, moment, second_at_beginning=True).get_next(datetime)
        return following
