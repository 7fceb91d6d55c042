//! Records in Apache Parquet files.

use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;
use serde_json::{Map, Number, Value};

use crate::input::{Input, input_error};
use crate::records::table::{Row, Stop, TableReader, read_in_thread};
use crate::{Error, Result};

/// Opens a file; only the selected columns are decoded.
///
/// Values are JSON values: nulls and NaN are null, structs are objects, lists are arrays, dates and times are text, and bytes are
/// text if they are UTF-8, else null.
pub(super) fn open(input: Input, path: &Path) -> Result<TableReader> {
    let file = input.into_file().map_err(|error| input_error(path, error))?;
    let invalid = |error: &dyn std::fmt::Display| format!("invalid Parquet: {error}");
    let reader = SerializedFileReader::new(file).map_err(|error| Error::file(path, invalid(&error)))?;
    let schema = reader.metadata().file_metadata().schema().clone();
    let fields = schema.get_fields().to_vec();
    let columns = fields.iter().map(|field| field.name().to_owned()).collect();
    let name = path.to_owned();
    Ok(TableReader::new(path, columns, move |selected| {
        read_in_thread(&name, move |sender| {
            let failed = |error| Stop::Failed(invalid(&error));
            let positions = |name: &str| fields.iter().position(|field| field.name() == name);
            // A projection has the columns in the order of the file.
            let mut in_order = selected.clone();
            in_order.sort_unstable();
            let projected = in_order.iter().map(|&index| fields[index].clone()).collect();
            let projection =
                Type::group_type_builder(schema.name()).with_fields(projected).build().map_err(failed)?;
            for row in reader.get_row_iter(Some(projection)).map_err(failed)? {
                let mut values = vec![Value::Null; fields.len()];
                for (name, field) in row.map_err(failed)?.into_columns() {
                    if let Some(index) = positions(&name) {
                        values[index] = value(field);
                    }
                }
                sender.send(Row::Values(selected.iter().map(|&index| values[index].take()).collect()))?;
            }
            Ok(())
        })
    }))
}

fn value(field: Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(boolean) => boolean.into(),
        Field::Byte(number) => number.into(),
        Field::Short(number) => number.into(),
        Field::Int(number) => number.into(),
        Field::Long(number) => number.into(),
        Field::UByte(number) => number.into(),
        Field::UShort(number) => number.into(),
        Field::UInt(number) => number.into(),
        Field::ULong(number) => number.into(),
        Field::Float16(number) => float(f64::from(number)),
        // 0.1 is 0.1, not its nearest value of single precision.
        Field::Float(number) => float(number.to_string().parse().unwrap_or(f64::from(number))),
        Field::Double(number) => float(number),
        Field::Str(text) => text.into(),
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_or(Value::Null, Into::into),
        Field::Group(row) => object(row.into_columns()),
        Field::ListInternal(list) => list.elements().iter().cloned().map(value).collect(),
        Field::MapInternal(map) => {
            let key = |key: &Field| match value(key.clone()) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            Value::Object(map.entries().iter().map(|(k, v)| (key(k), value(v.clone()))).collect())
        }
        // Dates, times and decimals.
        other => other.to_string().into(),
    }
}

fn object(columns: Vec<(String, Field)>) -> Value {
    Value::Object(columns.into_iter().map(|(name, field)| (name, value(field))).collect::<Map<_, _>>())
}

fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
