// The form that a browser signs in with.
import { by, make } from "./dom.js";

/** Shows the form. `needs` is "token" or "password". */
export function signIn({ needs }, words = "") {
  const refused = new URLSearchParams(location.search).get("signin") === "refused";
  const field = (name, label, type, complete) =>
    make("label", {}, label, make("input", { name, type, autocomplete: complete, required: true }));
  const fields = needs === "password"
    ? [field("user", "User", "text", "username"), field("secret", "Password", "password", "current-password")]
    // Password managers want a name beside the secret.
    : [make("input", { name: "user", type: "text", autocomplete: "username", value: "token", hidden: true }),
      field("secret", "Token", "password", "current-password")];
  const text = words || (refused ? "That is not right. Try again." : "");
  by("tabs").replaceChildren();
  by("main").replaceChildren(make("form", { className: "card signin", method: "post", action: "ferrometer" },
    make("h2", {}, "Sign in"),
    ...(text ? [make("p", { className: "bad", role: "alert" }, text)] : []),
    ...fields,
    make("button", { className: "primary", type: "submit" }, "Sign in")));
  for (const id of ["span", "pause"]) by(id).hidden = true;
  by("leave").hidden = true;
  by("main").querySelector("input:not([hidden])").focus();
}
