# The public interface: each name with its home. genkit/__init__.py reads it.
from .config import RunConfig as RunConfig
from .errors import ComponentError as ComponentError, DataError as DataError, GenkitError as GenkitError
from .evaluation.estimates import Estimate as Estimate, estimate as estimate
from .evaluation.evaluations import Evaluation as Evaluation
from .evaluation.scoring import Scores as Scores
from .interfaces import (
    Augmentation as Augmentation,
    CodeSampler as CodeSampler,
    AutoregressiveDecoder as AutoregressiveDecoder,
    DataSource as DataSource,
    Decoder as Decoder,
    DensitySampler as DensitySampler,
    Description as Description,
    Encoder as Encoder,
    FactorizedLikelihood as FactorizedLikelihood,
    FittedPrior as FittedPrior,
    Forward as Forward,
    Latent as Latent,
    LearnedLoss as LearnedLoss,
    Likelihood as Likelihood,
    Loss as Loss,
    Metric as Metric,
    MetricData as MetricData,
    Prior as Prior,
    RawData as RawData,
    Sampler as Sampler,
    Shape as Shape,
    Side as Side,
    Split as Split,
    TrainedModel as TrainedModel,
    Transform as Transform,
)
from .model.building import build_part as build_part
from .model.model import Model as Model
from .parallel.draws import (
    batch_mean as batch_mean,
    gather as gather,
    normal as normal,
    own_rows as own_rows,
    uniform as uniform,
)
from .record.outputs import output_file as output_file
from .record.run import Run as Run
from .record.run_names import run_path as run_path
from .registry.hooks import hookimpl as hookimpl
from .registry.registry import register as register
from .runs.calling import build as build, resume as resume, run as run
from .runs.comparison import compare as compare
from .runs.measuring import evaluate as evaluate, score as score
from .runs.opening import reopen as reopen
from .runs.reproduction import reproduce as reproduce
from .sharing.facts import diagnose as diagnose
from .sharing.weights import load as load
