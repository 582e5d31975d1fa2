// Passkeys: the browser's ceremony around a form. Needs allauth's webauthn-json.js, which turns JSON into keys and back.
//   data-passkey="create" | "get"   the form; its submit button begins the ceremony
//   data-passkey-options="id"       the <script type="application/json"> with the options; without it the form's
//                                   address is asked for them
//   data-passkey-problem="id"       the element, hidden until then, that says what went wrong; it carries the sentences

const ceremonies = { create: createKey, get: useKey };

async function optionsOf(form) {
  const source = document.getElementById(form.dataset.passkeyOptions ?? "");
  if (source) return JSON.parse(source.textContent);
  const response = await fetch(form.action, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`options: ${response.status}`);
  return response.json();
}

async function createKey(form, options) {
  const wanted = options.creation_options;
  const opens = form.elements.passwordless?.checked ?? false;
  const choice = (wanted.publicKey.authenticatorSelection ??= {});
  choice.residentKey = opens ? "required" : "discouraged";
  choice.requireResidentKey = opens;
  if (opens) choice.userVerification = "required";
  return globalThis.webauthnJSON.create(wanted);
}

async function useKey(_form, options) {
  return globalThis.webauthnJSON.get(options.request_options);
}

function tell(form, error) {
  const place = document.getElementById(form.dataset.passkeyProblem ?? "");
  if (!place) return;
  const words = place.dataset;
  place.querySelector("p").textContent =
    { NotAllowedError: words.cancelled, InvalidStateError: words.known, SecurityError: words.address }[error?.name] ??
    words.failed;
  place.hidden = false;
}

async function begin(event) {
  const form = event.currentTarget;
  event.preventDefault();
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  try {
    if (!globalThis.webauthnJSON?.supported()) throw new DOMException("", "SecurityError");
    const credential = await ceremonies[form.dataset.passkey](form, await optionsOf(form));
    form.elements.credential.value = JSON.stringify(credential);
    form.submit();
  } catch (error) {
    tell(form, error);
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form[data-passkey]")) form.addEventListener("submit", begin);
