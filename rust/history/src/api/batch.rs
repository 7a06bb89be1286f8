//! `batch`: several requests in one, for whoever shows many figures at a time.
//!
//! Each `get` is a path below `/api/v1/` with its query, such as `query?query=up&time=7`. The answers come as a list, in
//! their order; each has a status of its own, and one that fails ends none of the others.

use super::reply::{Answered, Reply, JSON};
use ferrometer_promql::QueryError;
use form_urlencoded::parse;

/// The most requests in one.
const MOST: usize = 200;

type Pair = (String, String);

/// Answers all of them by `respond`, which is given a path and parameters.
pub fn all(parameters: &[Pair], respond: &mut dyn FnMut(&str, &[Pair]) -> Reply) -> Answered {
    let wanted: Vec<&str> =
        parameters.iter().filter(|(name, _)| name == "get").map(|(_, value)| value.as_str()).collect();
    if wanted.len() > MOST {
        return Err(QueryError::bad_data(format!("{} requests in one; {MOST} are the most", wanted.len())));
    }
    Ok(Reply::data(|body| {
        body.push('[');
        for (at, get) in wanted.into_iter().enumerate() {
            if at > 0 {
                body.push(',');
            }
            let (path, query) = get.split_once('?').unwrap_or((get, ""));
            let pairs: Vec<Pair> = parse(query.as_bytes()).into_owned().collect();
            let reply = match path.trim_matches('/') {
                "batch" => Reply::error(&QueryError::bad_data("a batch holds no batch")),
                path => respond(path, &pairs),
            };
            if reply.media_type == JSON {
                body.push_str(&reply.body);
            } else {
                body.push_str(&QueryError::bad_data(format!("no such path: {path}")).to_json());
            }
        }
        body.push(']');
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(gets: &[&str]) -> String {
        let pairs: Vec<Pair> = gets.iter().map(|get| ("get".to_owned(), (*get).to_owned())).collect();
        let mut respond = |path: &str, pairs: &[Pair]| match path {
            "none" => Reply::unknown(),
            _ => {
                Reply::data(|body| body.push_str(&format!("\"{path} {pairs:?}\"").replace('\\', "").replace('"', "'")))
            }
        };
        all(&pairs, &mut respond).map_or_else(|error| error.message, |reply| reply.body)
    }

    #[test]
    fn each_request_has_its_answer() {
        assert_eq!(asked(&[]), r#"{"status":"success","data":[]}"#);
        let two = asked(&["query?query=a%2Bb+c&time=7", "/labels/"]);
        assert!(two.contains("query [('query', 'a+b c'), ('time', '7')]"), "{two}");
        assert!(two.contains("labels []"), "{two}");
        let failing = asked(&["none", "batch?get=query"]);
        assert_eq!(failing.matches("\"status\":\"error\"").count(), 2, "{failing}");
        assert!(asked(&["query"; 201]).contains("200 are the most"));
    }
}
