//! Codes of converting, planning and training.

use super::{Code, Coded};
use crate::chain::files::ChainFileError;
use crate::convert::ConvertError;
use crate::emit::EmitError;
use crate::emit::planned::PlanError;
use crate::emit::split::SplitError;
use crate::lower::LowerError;
use crate::quantize::trained::TrainedError;
use crate::train::fit::FitError;
use crate::train::qat::QatError;
use crate::train::run::RunError as TrainError;
use crate::widths::auto::AutoError;
use crate::widths::trial::QuantizeError;
use mote_train::distill::LadderError;

codes! { ConvertError, CONVERT:
    WeightBeyondF16 1201 "A weight is beyond the largest number of f16, in which every model is calibrated."
        "Scale the layer down, and the layer that reads it up, and save the checkpoint again."
    ChainScheme 1202 "A chain of 2015 has no such number formats."
        "Choose `--scheme` auto, f16, w8a16 or w16a16."
    ; through Lower Emit Setting Schedule Parse Run Graph Quantize Condition Trained
}

code! { LowerError, LOWER: LowerError 1203 "A layer, or an arrangement of layers, has no operator on the device."
"The message names the layer. `mote crosscheck` runs such a network; `docs/exported.md` lists what converts." }

code! { TrainedError, TRAINED: TrainedError 1204 "The checkpoint's trained number formats are not those of its network."
"Convert the folder that `mote train --qat` wrote, with all its files, or name another `--scheme`." }

code! { AutoError, AUTO: AutoError 1205 "No choice of number formats fits the board, not even the narrowest."
"Take a smaller network or a larger board; the message says what is needed and what there is." }

codes! { EmitError, EMIT:
    TooLarge 1211 "Something is larger than the fields of a model file."
        "Take a smaller network: the message says what is too large, and the limit."
    Inside 1212 "An operator cannot be made inside another."
        "This is a fault of the converter: report it with the checkpoint's configuration."
    ; through Refused
}

impl Coded for QuantizeError {
    fn code(&self) -> Code {
        match self {
            Self::Emit(inner) => inner.code(),
            Self::Parse(inner) => inner.code(),
            Self::Run(inner) => inner.code(),
            Self::Auto(inner) => inner.code(),
        }
    }
}

codes! { PlanError, PLAN:
    Planned 1301 "The file plans a run already, and holds no schedule to plan another from."
        "Plan the file that it was planned from."
    Chain 1302 "The model is a chain of 2015, whose steps are no linear forms."
        "Use the file as it is."
    TwoCallsPrev 1303 "Heun's method is planned where a step goes to the next timestep of the list, and to no other."
        "Leave `--prev` out."
    Variances 1304 "A planned file holds coefficients of a run, and learned variances are the network's own in every call."
        "Say `--variance` small or large, or take another sampler."
    ; through Parse Run
}

codes! { SplitError, SPLIT:
    Decoder 1305 "The file holds a decoder, whose weights are not read in blocks."
        "Convert the network of the latents alone, and cut its file."
    Tables 1306 "Tables of the file lie in each other."
        "Convert the checkpoint again: no file that was converted is so."
    Grouped 1307 "The network has convolutions in groups, whose weights are not read in blocks."
        "Keep the file whole, where the core can address it."
    ; through Parse
}

codes! { TrainError, TRAIN:
    File 1311 "A file of the run cannot be read or written."
        "Free space, remove the folder's `training/`, or choose another folder."
    Other 1312 "The folder holds a run with other settings."
        "Give the same options to go on with it, or another folder."
    Busy 1313 "Another `mote train` writes into the folder."
        "Wait for it, or give another folder."
    Conditioned 1314 "The network takes a condition vector, and training has images alone."
        "Train it where it comes from, and convert the checkpoint."
    Diverged 1315 "The loss is no number any more."
        "Give a lower `--lr`, or more `--steps`, whose first part is warm-up."
    ; through Float Schedule Image
}

codes! { FitError, FIT:
    None 1321 "Not even the narrowest network of the preset fits the board."
        "`mote boards` names larger ones."
    ; through Import Convert
}

codes! { QatError, QAT:
    Scheme 1322 "The scheme has no formats to train for."
        "Choose `--qat` w8a8, w8a16, w4a8 or w4a16."
    ; through Convert Float
}

codes! { LadderError, LADDER:
    Steps 1323 "The teacher's steps do not fall on those of the student."
        "Give `--teacher-steps` as a multiple of `--student-steps`."
    ; through Schedule
}

codes! { ChainFileError, CHAIN_FILES:
    File 1331 "A file of a chain cannot be read or written."
        "Check the path, or train the chain again with `mote train --preset`."
    Facts 1332 "What a chain's folder says of itself is malformed."
        "Train it again with `mote train --preset`."
    Tensors 1333 "The tensors are not those of the chain that the folder describes."
        "Train it again with `mote train --preset`."
    ; through
}
