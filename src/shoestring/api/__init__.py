"""What users call, and the command line too: every verb of the package as a function."""

from shoestring.api.contest import check as check
from shoestring.api.contest import grade as grade
from shoestring.api.contest import pack as pack
from shoestring.api.exports import demo as demo
from shoestring.api.exports import export as export
from shoestring.api.exports import push as push
from shoestring.api.folders import inspect as inspect
from shoestring.api.models import layers as layers
from shoestring.api.models import load as load
from shoestring.api.models import predict as predict
from shoestring.api.models import promote as promote
from shoestring.api.models import trust as trust
from shoestring.api.reports import write_report as write_report
from shoestring.api.samples import interpolate as interpolate
from shoestring.api.samples import sample as sample
from shoestring.api.sweeps import join_sweep as join_sweep
from shoestring.api.sweeps import sweep as sweep
from shoestring.api.sweeps import sweep_table as sweep_table
from shoestring.api.training import fit as fit
from shoestring.api.training import train as train
from shoestring.evaluation.compare import compare_images as compare_images
from shoestring.evaluation.evaluate import evaluate as evaluate
from shoestring.recipes.lookup import located as located
from shoestring.recipes.lookup import overrides_of as overrides_of
from shoestring.recipes.lookup import recipe as recipe
