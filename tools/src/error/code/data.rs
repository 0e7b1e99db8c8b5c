//! Codes of files of data, and of comparisons with the float network.

use crate::crosscheck::CrosscheckError;
use crate::data::DataError;
use crate::images::ImageError;
use crate::tensors::TensorsError;
use crate::validate::{DistributionError, FloatError};

codes! { DataError, DATA:
    Read 1401 "A file of images cannot be read."
        "Check that it exists and may be read."
    Content 1402 "A file of images is not what its form asks for."
        "`mote train --help` says what data can be: IDX, `.npz`, or a folder of PNG files."
    ; through
}

codes! { TensorsError, TENSORS:
    Read 1411 "A file of tensors cannot be read."
        "Check that it exists and may be read."
    Container 1412 "A safetensors file is cut off or damaged."
        "Write it again."
    Missing 1413 "The file holds no tensor of that name."
        "Name one that it holds, as in FILE.safetensors:KEY."
    Type 1414 "The tensor's elements are of a type that is not read here."
        "Save it in the type that the message names."
    ; through
}

codes! { ImageError, IMAGE:
    Decode 1421 "A file is no whole PNG image."
        "Save the picture as PNG again."
    Encode 1422 "A picture cannot be written as PNG."
        "Give fewer or smaller images."
    TooLarge 1423 "The picture has more pixels than are read."
        "Give a picture of the model's own size."
    ; through
}

codes! { CrosscheckError, CROSSCHECK:
    Read 1501 "The reference vectors cannot be read."
        "Give the `vectors.safetensors` that was exported with the checkpoint."
    Container 1502 "The reference vectors are cut off or damaged."
        "Copy the file again."
    Missing 1503 "A reference needs another key, which the file does not hold."
        "Export the vectors again, with all keys of `docs/exported.md`."
    Shape 1504 "A reference has another shape than the checkpoint gives."
        "Give the vectors that were exported with this checkpoint."
    Value 1505 "A reference names a timestep or a class that the checkpoint does not have."
        "Give the vectors that were exported with this checkpoint."
    Nothing 1506 "The file holds no key that is known."
        "Export vectors with keys such as `fwd.out` or `ddim20.x0`."
    ; through Run
}

codes! { FloatError, COMPARED:
    Shape 1511 "The model's sample has another shape than the checkpoint's."
        "Give `--against` the checkpoint that the model was converted from."
    Conditions 1512 "The model takes other labels, or a condition of another length, than the checkpoint's network."
        "Give `--against` the checkpoint that the model was converted from."
    ; through Float Cuda Run Lower Refined
}

codes! { DistributionError, DISTRIBUTION:
    Conditioned 1521 "The model takes a condition vector, and images of one condition say nothing of another."
        "Leave `--distribution` out."
    Count 1522 "So few or so many images cannot be compared as a distribution."
        "Give a number in the range that the message names."
    Data 1523 "The real images are too few, or of another shape."
        "Give `--data` more images of the model's shape."
    ; through Float Backend
}
