// The API: one request for everything that a refresh needs.

/** The server wants to know who asks. */
export class SignedOut extends Error {}

/** The answers to several requests, in their order; an answer that is an error is `undefined`. */
export async function batch(requests, signal) {
  const form = new URLSearchParams();
  for (const [path, parameters] of requests) form.append("get", `${path}?${new URLSearchParams(parameters)}`);
  const response = await fetch("api/v1/batch", { method: "POST", body: form, signal });
  if (response.status === 401) throw new SignedOut();
  if (response.status === 404) throw new Error("This server has no history to show: History() is off.");
  if (!response.ok) throw new Error(`The server answers ${response.status}.`);
  const answer = await response.json();
  return answer.data.map((one) => (one.status === "success" ? one.data : undefined));
}

/** Who is signed in, and what signing in needs. */
export const session = async () => (await fetch("ferrometer/session")).json();

/** The page's own configuration. */
export const configuration = async () => (await fetch("ferrometer/page.json")).json();
