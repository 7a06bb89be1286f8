//! The syntax tree of an expression, checked: every argument has the type that its function wants.

use crate::function::Function;
pub use crate::kind::Type;
use crate::matcher::Matcher;

/// Where `@` pins a selector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    /// `@ start()`
    Start,
    /// `@ end()`
    End,
    /// `@ 1609746000`, in milliseconds.
    Time(i64),
}

/// `offset` and `@` of a selector or subquery.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shift {
    /// Milliseconds back; negative is forward.
    pub offset_ms: i64,
    /// The time that replaces the evaluation time.
    pub at: Option<At>,
}

/// A selector of series.
#[derive(Clone, Debug)]
pub struct Selector {
    /// The metric name before the braces.
    pub name: Option<String>,
    /// All matchers, one for that name included.
    pub matchers: Vec<Matcher>,
    /// When.
    pub shift: Shift,
}

/// A node of the tree.
#[derive(Debug)]
pub enum Expr {
    /// `1`, `Inf`, `5m`
    Number(f64),
    /// `"text"`
    Text(String),
    /// `up{job="x"}`
    Vector(Selector),
    /// `up[5m]`
    Matrix(Selector, i64),
    /// `expr[1h:1m]`
    Subquery(Box<Subquery>),
    /// `rate(up[5m])`
    Call(Call),
    /// `sum by (job) (up)`
    Aggregate(Box<Aggregate>),
    /// `-up`
    Negate(Box<Expr>),
    /// `a + b`
    Binary(Box<Binary>),
    /// `(a)`: kept, because a type error points at it and a unary plus may not be dropped into a range.
    Paren(Box<Expr>),
}

/// `expr[range:step]`
#[derive(Debug)]
pub struct Subquery {
    /// What is evaluated at each step.
    pub expr: Expr,
    /// How far back, in milliseconds.
    pub range_ms: i64,
    /// From one evaluation to the next; the engine's default where not given.
    pub step_ms: Option<i64>,
    /// When.
    pub shift: Shift,
}

/// A call of a function.
#[derive(Debug)]
pub struct Call {
    /// Which.
    pub function: &'static Function,
    /// The arguments, checked.
    pub arguments: Vec<Expr>,
}

/// An aggregation.
#[derive(Debug)]
pub struct Aggregate {
    /// Which.
    pub operator: Aggregator,
    /// The labels of `by` or `without`.
    pub labels: Vec<String>,
    /// Whether these are the labels of `without`.
    pub without: bool,
    /// The parameter of `topk`, `quantile`, `count_values`.
    pub parameter: Option<Expr>,
    /// What is aggregated.
    pub expr: Expr,
}

/// The operator of an aggregation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregator {
    /// `sum`
    Sum,
    /// `avg`
    Average,
    /// `count`
    Count,
    /// `min`
    Minimum,
    /// `max`
    Maximum,
    /// `group`
    Group,
    /// `stddev`
    StandardDeviation,
    /// `stdvar`
    Variance,
    /// `topk`
    Top,
    /// `bottomk`
    Bottom,
    /// `count_values`
    CountValues,
    /// `quantile`
    Quantile,
}

impl Aggregator {
    /// The operator of a keyword in lower case.
    pub fn of(word: &str) -> Option<Self> {
        Some(match word {
            "sum" => Self::Sum,
            "avg" => Self::Average,
            "count" => Self::Count,
            "min" => Self::Minimum,
            "max" => Self::Maximum,
            "group" => Self::Group,
            "stddev" => Self::StandardDeviation,
            "stdvar" => Self::Variance,
            "topk" => Self::Top,
            "bottomk" => Self::Bottom,
            "count_values" => Self::CountValues,
            "quantile" => Self::Quantile,
            _ => return None,
        })
    }

    /// The keyword.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Average => "avg",
            Self::Count => "count",
            Self::Minimum => "min",
            Self::Maximum => "max",
            Self::Group => "group",
            Self::StandardDeviation => "stddev",
            Self::Variance => "stdvar",
            Self::Top => "topk",
            Self::Bottom => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
        }
    }

    /// The type of its parameter.
    pub fn parameter(self) -> Option<Type> {
        match self {
            Self::Top | Self::Bottom | Self::Quantile => Some(Type::Scalar),
            Self::CountValues => Some(Type::Text),
            _ => None,
        }
    }
}

/// A binary operation.
#[derive(Debug)]
pub struct Binary {
    /// Which.
    pub operator: Operator,
    /// The left side.
    pub left: Expr,
    /// The right side.
    pub right: Expr,
    /// Whether a comparison gives 0 or 1 instead of filtering.
    pub bool_result: bool,
    /// How vectors match.
    pub matching: Matching,
}

/// `on`, `ignoring`, `group_left`, `group_right`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matching {
    /// Whether the labels are those of `on`.
    pub on: bool,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Which side may have many.
    pub cardinality: Cardinality,
    /// The labels that `group_left` or `group_right` takes from the one side.
    pub include: Vec<String>,
}

/// How many series of each side may match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cardinality {
    /// One of each.
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
}

/// The operator of a binary operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
    /// `^`
    Power,
    /// `atan2`
    Atan2,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `</`: the histogram's observations up to a number
    TrimUpper,
    /// `>/`: the histogram's observations above a number
    TrimLower,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
}

impl Operator {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }

    /// Whether it compares.
    pub fn compares(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual | Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual)
    }

    /// Whether it is an operator of sets.
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// How tightly it binds; more is tighter.
    pub fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide | Self::Modulo | Self::Atan2 => 5,
            Self::Power => 6,
            _ => 3,
        }
    }
}

impl Expr {
    /// The type of its value.
    pub fn kind(&self) -> Type {
        match self {
            Self::Number(_) => Type::Scalar,
            Self::Text(_) => Type::Text,
            Self::Vector(_) | Self::Aggregate(_) => Type::Vector,
            Self::Matrix(..) | Self::Subquery(_) => Type::Matrix,
            Self::Call(call) => call.function.result,
            Self::Negate(expr) | Self::Paren(expr) => expr.kind(),
            Self::Binary(binary) => {
                if binary.left.kind() == Type::Scalar && binary.right.kind() == Type::Scalar {
                    Type::Scalar
                } else {
                    Type::Vector
                }
            }
        }
    }

    /// The expression inside parentheses.
    pub fn inner(&self) -> &Self {
        let mut expr = self;
        while let Self::Paren(inside) = expr {
            expr = inside;
        }
        expr
    }
}
