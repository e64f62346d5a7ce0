"""The sentences with values in them: what the live line foresees, why something is refused, what was done."""

from __future__ import annotations

from lib_instantas.texts.message import Template

SAID_BY = Template("InstantAS: {message}")

ALSO = Template("{first}, {then}")
NEXT = Template("{first}; {then}")
AND = Template("{first} and {then}")
OR = Template("{first} or {then}")
"""What puts several messages together."""

# What a method does.
METHODS_DO = Template("{before}\n{methods}: {about}")
ONE_TILE = Template("1 tile of {size}")
TILES = Template("{count} tiles of {size}")
EVALUATIONS = Template("{tiles}, {evaluations} UNet evaluations")
UNCOVERED = Template("{share:.1%} uncovered per step")
DILATED = Template("dilation {factor:.3g} in the first {evaluations}")
DAMPED = Template("{dilated}, each half as long again (noise-damped)")
NO_EFFECT = Template("{name} has no effect with {reason}")
NO_REGIONS = Template("no regions")

# The live line.
ABOUT = Template("about {work}")
COMPOSED_FIRST = Template("composed first: {work}")
THEN = Template("then {work}")
FIRST_PASS = Template("first pass: {work}")
HIRES_PASS = Template("hires pass: {work}")
SMALL = Template("{size}, {evaluations} UNet evaluations")
DIRECT = Template("{evaluations} UNet evaluations of {size} at once, {times}")
WHOLE = Template("{work}; the whole picture at once, {times}")
FITS = Template("nothing to do, {size} fits one tile; {evaluations} UNet evaluations as without")
REGIONS_ALONE = Template(
    "{size} fits one tile, in which only the regions act; {evaluations} UNet evaluations as without"
)
SHORT = Template(
    "nothing to do, {size}'s shorter side is not longer than the model's own; {evaluations} UNet evaluations as without"
)
INSTEAD = Template("{work} of a tile instead of {evaluations} of {size}: {cost}, in the memory of one tile")
AS_MUCH = Template("about as much work as {other}")
LESS = Template("about {share:.0%} of the work of {other}")
MORE = Template("about {times} times as much work as {other}")
AT_ONCE = Template("the whole picture at once")
FROM_NOISE = Template("tiles from the first step on")
NATIVE_SIZE = Template("the model's own size")
TIMES_NATIVE = Template("{times:.1f} times the model's {size}")
MOVES_DOWN = Template("the grid moves {down} px down at a time")
MOVES_ACROSS = Template("the grid moves {across} px across at a time")
MOVES_BOTH = Template("the grid moves {down} px down and {across} px across at a time")
STANDS_STILL = Template("the grid stands still")
BOTH_STAGES = Template("together {cost}")
UPSCALED = Template(
    "the given picture, {times:g} times as wide and high by {upscaler}, finished in tiles of about {size}"
)
ENLARGED = Template("{given} → {size} by {upscaler}: {work}")
OWN_SIZE = Template("The size is the panel's {size}, not the page's")
INVERTED = Template("where a picture is given, {evaluations} more evaluations before them for its noise")
SWITCHED_OFF = Template("Off. Switched on: {line}")
UNKNOWN_MODEL = Template("{line} (if the model knows {size}, which is found out when it is loaded)")

# What a picture's size will not allow.
TOO_LARGE_TO_OPEN = Template(
    "pictures of more than {pixels} pixels cannot be opened again here (Pillow takes them for an attack)"
)
TOO_LARGE_A_FILE = Template("{format} files hold at most {side} pixels a side: choose png to save this picture")
TOO_LARGE_A_PREVIEW = Template("live previews in {format} hold at most {side} pixels a side: choose another format")
COSTLY_PREVIEW = Template(
    "each live preview by the method {method} takes {gigabytes:.1f} GB for its pixels alone: choose Approx NN or "
    "Approx cheap"
)

# What a setting can be.
MUST_BE = Template("{name} must be {allowed}, got {value}")
PROBLEM = Template("{name} {problem}, got {value}")
ONE_OF = Template("one of {choices}")
SWITCH = Template("true or false")
WHOLE_NUMBER = Template("a whole number between {low} and {high}")
NUMBER = Template("between {low} and {high}")
NOT_AN_OBJECT = Template("settings must be an object of named values, got {value}")
UNKNOWN_SETTING = Template("unknown setting {name}; known are {known}")
EMPTY = Template("empty")
WITH_METHOD = Template("{name} must be {allowed} with the method {method}, got {value}")
ON_THIS_HOST = Template("{name} must be {allowed} on this host, got {value}: {reason}")
NEEDS = Template("it needs {needs}; {instead}")
ON_THIS_SERVER = Template("{name} must be at most {largest} on this server, got {value}")
UPSCALED_TOO_LARGE = Template(
    "upscale_by must be less, so that no side is longer than {largest} on this server, got {value:g}, which makes "
    "{size}"
)
UPSCALE_BESIDE_CONTROLNET = Template(
    "upscale_by must be 1 in txt2img beside ControlNet, got {value:g}: enlarge the picture in img2img, where the hints "
    "are cut for each tile"
)
NOT_ENLARGED = Template("InstantAS: a picture could not be enlarged and is as it was: {reason}")
EMPTY_OR_ONE_OF = Template("empty or one of {choices}")
NO_LORA = Template("no LoRA here")
TILE_TOO_LARGE = Template(
    "tile must be smaller, and method not direct, with this model: it has positions for {known} pixels a side and "
    "would be asked about {size} at once"
)
OTHER_VAE = Template("vae must be off, and wrap off, with this model's VAE: {reason}")
LEVELS = Template("dilated_levels must be between 0 and {most} with this model, got {value}")
NO_UNET = Template("method must not be ScaleCrafter with this model, which is not a UNet")
ONLY_A_SEED = Template(
    "style_reference must be a seed with this model: no trace of a picture is left in its first noise"
)
NOT_ON_THIS_HOST = Template("cannot work on this host, which lacks: {missing}")

# What goes with what.
TILED_DIFFUSION = Template(
    "enabled must be false while Tiled Diffusion is on: both divide the picture into tiles. Switch one of them off; "
    "Tiled VAE may stay"
)
MULTIDIFFUSION = Template(
    "enabled must be false while MultiDiffusion Integrated is on: both divide the picture into tiles. Switch one of "
    "them off"
)
HYPERTILE = Template(
    "enabled must be false while HyperTile Integrated is on, which divides attention by the whole picture's "
    "proportions, and a tile does not have them"
)
REGIONAL_PROMPTER = Template(
    "enabled must be false while Regional Prompter is on in the mode Attention, which takes each tile for the whole "
    "picture. Use its mode Latent, or this extension's regions"
)
REGIONS_WITHOUT_UNET = Template(
    "{name} must be empty while the setting SD Unet replaces the model's own UNet; set it to None"
)
SCALECRAFTER_WITHOUT_UNET = Template(
    "method must not be ScaleCrafter while the setting SD Unet replaces the model's own UNet; set it to None"
)
HOSTS_HYPERTILE = Template(
    "enabled must be false while the host's setting {option} is on: Hypertile divides attention by the whole "
    "picture's proportions, which a tile does not have. Switch it off under Settings, Hypertile"
)
PROMPT_ADAPTER = Template(
    "{name} must be empty while an adapter (IP-Adapter, InstantID) is on that reads the prompt in place of the model's "
    "own attention, for the whole picture. Switch it off, or leave {name} empty"
)
NETWORK_IN_REGION = Template(
    "{place}: put <{network}:...> in the main prompt, it changes the model for the whole picture"
)
AND_IN_REGION = Template("{place}: AND joins prompts of the whole picture, put it in the main prompt")
NOTHING_BUT_BACKGROUND = Template(
    "compose_background must leave out the prompt's thing, got {value}, which has every word of the prompt; leave it "
    "empty where the prompt has no thing that should be in one place"
)
BACKGROUND_AND_AND = Template("compose_background must be empty where AND joins prompts")
WILDCARDS_IN_BACKGROUND = Template("compose_background must be without wildcards, got {value}")
WILDCARDS_AND_AND = Template("regions: wildcards in their prompts cannot be combined with AND in the main prompt")

# Regions, and the pictures that settings hold, as JSON: what follows the name of the place.
AT = Template("{place} {problem}")
OF = Template("{place}: {problem}")
UNKNOWN_KEY = Template("unknown key {key}; known are {known}")
NO_SHAPE = Template('must be an object with "type" rectangle, polygon or mask, got {value}')
MUST_BE_AN_OBJECT = Template("must be an object, got {value}")
MUST_BE_A_LIST = Template("must be a list, got {value}")
MUST_BE_A_TEXT = Template("must be a text, got {value}")
MUST_BE_BASE64_TEXT = Template("must be a text (base64), got {value}")
MUST_BE_A_SWITCH = Template("must be true or false, got {value}")
MUST_BE_A_PAIR = Template("must be a pair [x, y], got {value}")
MUST_BE_A_COLOR = Template("must be like #rrggbb, or empty, got {value}")
MUST_BE_JSON = Template("must be JSON: {error}")
MUST_BE_VERSION = Template("must be {version}, got {value}")
MUST_BE_ONE_OF = Template("must be one of {choices}, got {value}")
MUST_BE_BETWEEN = Template("must be between {low:g} and {high:g}, got {value}")
MUST_BE_GREATER = Template("must be greater than {low:g} and at most {high:g}, got {value}")
IS_MISSING = Template("is missing")
TEXT_TOO_LONG = Template("must be a text of at most {most} characters, got {value}")
TOO_MANY_CHARACTERS = Template("must have at most {most} characters, got {value}")
TOO_MANY_REGIONS = Template("must have {fewest} to {most} regions, got {value}")
TOO_MANY_POINTS = Template("must have {fewest} to {most} points, got {value}")
AN_OBJECT = Template("an object")
A_LIST = Template("a list")
MUST_BE_BASE64 = Template("must be base64")
MUST_BE_A_PNG = Template("must be a PNG picture")
PNG_TOO_LARGE = Template("must be a PNG of at most {most} bytes, got {value}")
PNG_MODE = Template("must be a PNG with 8 bits per channel, got mode {mode}")
PICTURE_TOO_LONG = Template("must be at most {most} pixels wide and high")
PICTURE_TOO_WIDE = Template("must be at most {most} pixels wide and high, got {size}")
PICTURE_TOO_LARGE = Template("must be a picture of at most {most} bytes, got {value}")
MUST_BE_A_PICTURE = Template("must be a {format} picture")
MUST_BE_A_REFERENCE = Template(
    "must be empty, a seed, or a picture as a data URL (data:image/png;base64,...; png, jpeg or webp)"
)

# Presets, of settings and of regions.
NO_NAME = Template("a preset needs a name")
NAME_TOO_LONG = Template("a preset's name must have at most {most} characters, got {value}")
NAME_UNPRINTABLE = Template("a preset's name must be printable, got {name}")
TOO_MANY_PRESETS = Template("there are {most} presets already; delete one first")
UNREADABLE_PRESET = Template("preset {name} cannot be read: {error}")
SAME_NAME = Template("preset {name} has that name already")
NAME_TAKEN = Template("there is a preset {name} already; take another name, or delete it first")
NO_PRESET = Template("no preset {name}")
NOT_YOUR_OWN = Template("the preset must be one of your own to be renamed, got {name}; choose it above")
BUILT_IN = Template("{name} is built in; take another name")
TOO_MANY_MORE = Template("there can be {most} presets; {count} more are too many, delete some first")
NOT_OF_PRESETS = Template('the file must be one of presets, with "kind": "InstantAS presets", "version", "presets"')
PRESET_OF_FILE = Template("the preset {name} of the file: {problem}")
FILE_TOO_LARGE = Template("a file of presets must have at most {most} bytes, got {value}")
FILE_TOO_DEEP = Template("the file of presets is nested too deeply")
FILE_NO_TEXT = Template("the file of presets must be JSON, got something that is no text in UTF-8")
FILE_NO_JSON = Template("the file of presets must be JSON: {error}")
NAMED_TWICE = Template("the file of presets names {name} twice")
PRESETS_VERSION = Template("presets must be of a version up to {version}, got {value}")
NOT_BY_A_PRESET = Template("{name} cannot be set by a preset; what can is {known}")
PRESET_SAVED = Template("Saved {name}.")
PRESET_RENAMED = Template("{name} is called {new} now.")
PRESET_DELETED = Template("Deleted {name}.")
NO_OWN_PRESETS = Template("There is no preset of your own yet.")
PRESETS_IMPORTED = Template("Imported {names}.")
IMPORTED_AS = Template("{name} as {place}")
HOLDS_NONE = Template("It holds none.")
SET_TO = Template("{label} {value}")
SWITCHED_ON_IN = Template("{label} on")
SWITCHED_OFF_IN = Template("{label} off")
EMPTIED_IN = Template("{label} (empty)")

# With and without.
NOTHING_TO_COMPARE = Template("Nothing to compare")
SAME_WITHOUT = Template(
    "with these settings InstantAS changes nothing about a picture of {size}, so both would be the same. Choose a "
    "larger size, or draw regions"
)
SAME_AS_PRESET = Template("the panel has the settings of {preset} already, so both pictures would be the same")
NOT_MADE = Template("The second picture could not be made")
BESIDE = Template("{beside}: {reason}")

# What the editor is answered.
NO_DRAWING = Template('a drawing must be an object with "canvas" and "setup"')
NO_CANVAS = Template("canvas must be an object with width and height")
REQUEST_TOO_LONG = Template("the request has {value} characters; at most {most} are allowed")
TOO_DEEP = Template("this is nested too deeply")
GRID_NOT_DRAWN = Template("the grid is not drawn: at most {most} tiles are")
STEPS_NOT_SHOWN = Template("steps {first} to {last} are not shown: too many tiles in all")
