"""What all tests share."""

from hypothesis import settings

# Machines that run tests beside other work are slow at times; a property is not about time.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")
