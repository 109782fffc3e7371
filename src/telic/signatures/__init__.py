"""What a step takes and gives: signatures, their fields, and their types."""

from telic.signatures._field import FieldInfo as FieldInfo
from telic.signatures._field import infer_prefix as infer_prefix
from telic.signatures._names import SCOPE as SCOPE
from telic.signatures._names import known_names as known_names
from telic.signatures._names import type_name as type_name
from telic.signatures._options import InputField as InputField
from telic.signatures._options import OutputField as OutputField
from telic.signatures._schema import json_schema as json_schema
from telic.signatures._schema import type_adapter as type_adapter
from telic.signatures._signature import Signature as Signature
from telic.signatures._signature import SignatureMeta as SignatureMeta
from telic.signatures._signature import ensure_signature as ensure_signature
from telic.signatures._signature import make_signature as make_signature
from telic.signatures._state import default_instructions as default_instructions
