"""Errors that teach: what was given, which rule it broke, what to do about it."""


class AvatarError(Exception):
    """Base of every error this project raises on purpose.

    The message is one sentence or two for the person at the keyboard; the command line prints it
    without a traceback and leaves with exit code 2.
    """


class ImageError(AvatarError):
    """A scan, a mask or their geometry cannot be used as given."""


class VariantError(AvatarError):
    """A variant file cannot be used as given."""


class ClinicalError(AvatarError):
    """A clinical record cannot be used as given."""


class CohortError(AvatarError):
    """A cohort, or what is asked of a survival model, breaks a rule."""


class RegimenError(AvatarError):
    """A treatment regimen breaks a rule."""


class StudyError(AvatarError):
    """A study folder or its ``study.yaml`` cannot be used as given."""


class StoreError(AvatarError):
    """The avatar store does not hold, or cannot take, what was asked."""


class ConflictError(StoreError):
    """Somebody else was faster: what was to be written stands on something that has changed."""


class WeightsError(AvatarError):
    """Network weights are missing, of another version, or damaged."""


class BoardError(AvatarError):
    """The board cannot be served as asked."""


class ReviewError(AvatarError):
    """A reader's mask or decision breaks a rule of the review."""


class SampleError(AvatarError):
    """Public sample material could not be obtained or fails its checksum."""


class KnowledgeError(AvatarError):
    """A knowledge base cannot be used as given."""


class PacsError(AvatarError):
    """A PACS does not answer, or not as asked."""
