"""Several candidates in one process: what is loaded, fetched and opened for one is there for the next.

Each is audited as in a Job of its own, with the same report in the same place. One that cannot be audited stops no
other and is left unanswered: the Job that it then gets says so, and is tried again by its own rules.
"""

from __future__ import annotations

from assay_api.plan import Task, siblings
from assay_api.result import TaskResult
from assay_api.together import with_answers
from assay_runner.errors import Unreachable, as_audit_error, debug
from assay_runner.tasks import answered
from assay_runner.tasks.context import Context


def run_together(task: Task, context: Context) -> TaskResult:
    """Audit the candidates of a task one after the other, and answer for those that have a report.

    Raises:
        Unreachable: storage does not answer, which is no candidate's own trouble.
    """
    planned, answers = siblings(task), list[TaskResult]()
    for key in task.together:
        try:
            answers.append(answered(planned[key], context))
        except Unreachable:
            raise
        except Exception as error:
            debug(error)
            context.progress.note(f"{key} is left to a Job of its own: {as_audit_error(error)}")
    message = f"{len(answers)} of {len(task.together)} candidates answered"
    return with_answers(TaskResult(task=task.digest, message=message), answers)
