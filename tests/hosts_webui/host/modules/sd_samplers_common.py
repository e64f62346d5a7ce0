"""What samplers share."""


class InterruptedException(BaseException):  # noqa: N818 (the host's own name)
    """Ends a run early with the latents as they are."""
