//! The script: which rules hold for a call.

use std::{
    collections::BTreeMap,
    env, fs,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_RV};

use crate::SCRIPT;

/// What happens to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    Code(CK_RV),
    Lost(CK_RV),
    Cut,
    Wrong,
    Room,
    Delay(Duration),
    Hang,
    Close,
    CloseAll,
    Logout,
    Finalize,
    Initialize,
    Broken,
    Dukpt,
    DukptWrong,
}

/// What a rule may ask about a call: its function, and the attributes of its template.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) function: &'a str,
    pub(crate) template: &'a [(CK_ATTRIBUTE_TYPE, &'a [u8])],
}

/// Of each rule, how often it was met, and where its dice stand.
type Counts = BTreeMap<String, (u64, u64)>;

/// The script that was read last, and the counts of its rules.
static MET: Mutex<(String, Counts)> = Mutex::new((String::new(), Counts::new()));

/// The actions of the rules that hold for this call, each with its rule's text.
pub(crate) fn actions(call: Call<'_>) -> Vec<(Action, String)> {
    let script = read();
    let (last, met) = &mut *MET.lock().unwrap_or_else(PoisonError::into_inner);
    if *last != script {
        last.clone_from(&script);
        met.clear();
    }
    script.lines().filter_map(|line| Some((holds(line, call, met)?, line.into()))).collect()
}

/// Whether the rule is still there.
pub(crate) fn has(rule: &str) -> bool {
    read().lines().any(|line| line == rule)
}

fn read() -> String {
    env::var_os(SCRIPT).and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default()
}

fn holds(line: &str, call: Call<'_>, met: &mut Counts) -> Option<Action> {
    let mut words = line.split_whitespace();
    let function = words.next()?;
    let every = function == "*" && !["C_Initialize", "C_Finalize"].contains(&call.function);
    if !every && function != call.function {
        return None;
    }
    let action = action(words.next()?)?;
    let mut conditions: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
    // Only calls of which the rest is true are counted.
    conditions.sort_by_key(|(name, _)| ["at", "from", "odds"].contains(name));
    let all = conditions.into_iter().all(|(name, value)| match name {
        "with" => CK_ATTRIBUTE_TYPE::from_str_radix(value, 16)
            .is_ok_and(|wanted| call.template.iter().any(|(attribute, _)| *attribute == wanted)),
        "label" => call
            .template
            .iter()
            .any(|(attribute, label)| *attribute == cryptoki_sys::CKA_LABEL && label.ends_with(value.as_bytes())),
        _ => {
            value.parse().is_ok_and(|number: u64| counted(name, number, met.entry(line.into()).or_insert((0, 88_172))))
        }
    });
    all.then_some(action)
}

fn counted(name: &str, number: u64, (calls, dice): &mut (u64, u64)) -> bool {
    *calls += 1;
    match name {
        "at" => *calls == number,
        "from" => *calls >= number,
        "odds" => {
            // xorshift64
            *dice ^= *dice << 13;
            *dice ^= *dice >> 7;
            *dice ^= *dice << 17;
            dice.is_multiple_of(number.max(1))
        }
        _ => false,
    }
}

fn action(word: &str) -> Option<Action> {
    let (name, value) = word.split_once(':').unwrap_or((word, ""));
    let code = |digits| CK_RV::from_str_radix(digits, 16).ok();
    Some(match name {
        "lost" => Action::Lost(code(value)?),
        "delay" => Action::Delay(Duration::from_millis(value.parse().ok()?)),
        "cut" => Action::Cut,
        "wrong" => Action::Wrong,
        "room" => Action::Room,
        "hang" => Action::Hang,
        "close" => Action::Close,
        "close-all" => Action::CloseAll,
        "logout" => Action::Logout,
        "finalize" => Action::Finalize,
        "initialize" => Action::Initialize,
        "broken" => Action::Broken,
        "dukpt" => Action::Dukpt,
        "dukpt-wrong" => Action::DukptWrong,
        _ => Action::Code(code(name)?),
    })
}
