"""A test-only extension: registers the tiny OpenCLIP architecture. Filled in below."""
import sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from open_clip_architecture import register_architecture
register_architecture()
