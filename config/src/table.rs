//! A table of the TOML file, read by hand: an error tells line and field and never a value, because somebody may have put
//! a PIN or a key there.

use std::ops::RangeInclusive;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What is wrong in a file, and the line on which it is.
pub(crate) struct Problem {
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// The text as TOML. What the parser says is of syntax only.
pub(crate) fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, Problem> {
    DeTable::parse(text).map_err(|error| Problem {
        line: line(text, error.span().map_or(0, |span| span.start)),
        what: error.message().lines().next().unwrap_or_default().into(),
    })
}

/// A table of the file, what it is called in errors, and the byte at which it begins.
pub(crate) struct Table<'t, 'i> {
    pub(crate) text: &'t str,
    pub(crate) name: &'static str,
    pub(crate) at: usize,
    pub(crate) fields: &'t DeTable<'i>,
}

impl<'t, 'i> Table<'t, 'i> {
    pub(crate) fn get(&self, name: &str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.fields.iter().find(|(field, _)| field.get_ref() == name).map(|(_, value)| value)
    }

    /// Refuses fields of other names.
    pub(crate) fn only(&self, names: &[&str]) -> Result<(), Problem> {
        match self.fields.keys().find(|field| !names.contains(&field.get_ref().as_ref())) {
            Some(field) => {
                let what = format!("{} has no {:?}; it has {}", self.name, field.get_ref(), names.join(", "));
                Err(Problem { line: line(self.text, field.span().start), what })
            }
            None => Ok(()),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = value.get_ref().as_str().ok_or_else(|| self.must_be(name, "text in quotes"))?;
        Ok(Some(text.into()))
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, Problem> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let wrong = || self.must_be(name, "a list of texts in quotes");
        let texts = value.get_ref().as_array().ok_or_else(wrong)?.iter();
        texts.map(|text| text.get_ref().as_str().map(Into::into).ok_or_else(wrong)).collect()
    }

    pub(crate) fn needed(&self, name: &str) -> Result<String, Problem> {
        let lacks = || Problem { line: line(self.text, self.at), what: format!("{} lacks {name}", self.name) };
        self.text(name)?.ok_or_else(lacks)
    }

    pub(crate) fn number(&self, name: &str, within: RangeInclusive<u64>) -> Result<u64, Problem> {
        let wrong = || self.must_be(name, &format!("a number from {} to {}", within.start(), within.end()));
        let value = self.get(name).ok_or_else(wrong)?;
        let number = value.get_ref().as_integer().and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
        number.filter(|number| within.contains(number)).ok_or_else(wrong)
    }

    pub(crate) fn bounded<N: TryFrom<u64>>(
        &self,
        name: &str,
        within: RangeInclusive<u64>,
    ) -> Result<Option<N>, Problem> {
        match self.get(name) {
            Some(_) => self.number(name, within).map(|number| N::try_from(number).ok()),
            None => Ok(None),
        }
    }

    pub(crate) fn choice(&self, name: &str) -> Result<Option<bool>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.get_ref().as_bool().map(Some).ok_or_else(|| self.must_be(name, "true or false"))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        Ok(self.choice(name)?.unwrap_or(false))
    }

    pub(crate) fn table(&self, name: &str, shown: &'static str) -> Result<Option<Self>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        Ok(Some(self.inner(value, shown).ok_or_else(|| self.must_be(name, &format!("a table, {shown}")))?))
    }

    pub(crate) fn tables(&self, name: &str, shown: &'static str) -> Result<Vec<Self>, Problem> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let wrong = || self.must_be(name, &format!("tables, {shown}"));
        let tables = value.get_ref().as_array().ok_or_else(wrong)?;
        tables.iter().map(|value| self.inner(value, shown).ok_or_else(wrong)).collect()
    }

    pub(crate) fn inner(&self, value: &'t Spanned<DeValue<'i>>, name: &'static str) -> Option<Self> {
        Some(Self { text: self.text, name, at: value.span().start, fields: value.get_ref().as_table()? })
    }

    pub(crate) fn must_be(&self, name: &str, wanted: &str) -> Problem {
        let at = self.get(name).map_or(self.at, |value| value.span().start);
        Problem { line: line(self.text, at), what: format!("{} {name} must be {wanted}", self.name) }
    }
}

fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
