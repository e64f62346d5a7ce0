"""What samplers share."""


class InterruptedException(BaseException):
    """Ends a run early with the latents as they are."""
