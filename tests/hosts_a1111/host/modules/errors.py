"""Where the host logs what it swallows."""

reported: list[str] = []


def report(message: str) -> None:
    reported.append(message)
