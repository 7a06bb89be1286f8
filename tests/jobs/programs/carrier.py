"""A listener that writes into what travels with a message, and counts where it arrives."""

from ferrometer.jobs import JobListener, listen, submitted


class Marks(JobListener):
    def submitting(self, job):
        job.carrier["mark"] = f"of {job.id}"

    def submitted(self, job, error):
        assert job.carrier["mark"] == f"of {job.id}"
        submitted(f"{job.system} sent")

    def started(self, job):
        if job.carrier.get("mark") == f"of {job.id}":
            submitted(f"{job.system} arrived")
        job.state["started"] = True

    def ended(self, job, status, error):
        if job.state["started"]:
            submitted(f"{job.system} {status}")


listen(Marks())
