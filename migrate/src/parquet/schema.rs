//! What the columns of a Parquet file become: those that hold no strings, strings.

use std::sync::Arc;

use parquet::{
    basic::{ConvertedType, LogicalType, Type as Physical},
    errors::Result,
    schema::types::{ColumnDescriptor, SchemaDescriptor, Type, TypePtr},
};

/// Whether tokens can stand in a column as it is.
pub(super) fn takes_tokens(column: &ColumnDescriptor) -> bool {
    let decimal = column.converted_type() == ConvertedType::DECIMAL
        || matches!(column.logical_type_ref(), Some(LogicalType::Decimal(_)));
    column.physical_type() == Physical::BYTE_ARRAY && !decimal
}

/// The schema with some columns, by number, as optional or required strings where they are.
pub(super) fn with_strings(schema: &SchemaDescriptor, strings: &[usize]) -> Result<TypePtr> {
    if strings.is_empty() {
        return Ok(schema.root_schema_ptr());
    }
    rebuilt(&schema.root_schema_ptr(), strings, &mut 0)
}

fn rebuilt(node: &TypePtr, strings: &[usize], leaf: &mut usize) -> Result<TypePtr> {
    let about = node.get_basic_info();
    let id = about.has_id().then(|| about.id());
    if node.is_primitive() {
        *leaf += 1;
        if !strings.contains(&(*leaf - 1)) {
            return Ok(node.clone());
        }
        let string = Type::primitive_type_builder(node.name(), Physical::BYTE_ARRAY)
            .with_repetition(about.repetition())
            .with_logical_type(Some(LogicalType::String))
            .with_id(id);
        return Ok(Arc::new(string.build()?));
    }
    let fields = node.get_fields().iter().map(|field| rebuilt(field, strings, leaf)).collect::<Result<_>>()?;
    let mut group = Type::group_type_builder(node.name())
        .with_converted_type(about.converted_type())
        .with_logical_type(about.logical_type_ref().cloned())
        .with_id(id)
        .with_fields(fields);
    if about.has_repetition() {
        group = group.with_repetition(about.repetition());
    }
    Ok(Arc::new(group.build()?))
}
