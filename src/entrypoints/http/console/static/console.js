"use strict";
// Everything works without this file. It tells the server the viewer's time zone, copies what is to be copied, and
// keeps a form from being sent twice by two clicks (the server takes it once anyhow).

(() => {
  const page = document.documentElement;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && page.dataset.zone && zone !== page.dataset.zone && !sessionStorage.getItem("zone-told")) {
    // Told once: a server that does not know the zone goes on in UTC.
    sessionStorage.setItem("zone-told", zone);
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `payments_zone=${encodeURIComponent(zone)}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
    if (document.querySelector("time") && !document.querySelector("form[data-unsaved], .secret")) location.reload();
  }

  for (const shown of document.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(shown.textContent.trim());
        button.textContent = "Copied";
      } catch {
        // Browsers give no clipboard to pages over plain HTTP: select it, so that it can be copied by hand.
        getSelection().selectAllChildren(shown);
        button.textContent = "Selected: copy it";
      }
    });
    shown.after(button);
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    form.setAttribute("aria-busy", "true");
  });
  // Back from another page by the browser's own means: the form may be sent again.
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      form.removeAttribute("aria-busy");
    }
  });
})();
