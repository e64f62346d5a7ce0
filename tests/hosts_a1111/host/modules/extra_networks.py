"""Networks named in prompts."""


def parse_prompt(prompt: str) -> tuple[str, dict]:
    return prompt, {}
