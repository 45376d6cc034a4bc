// A page in a browser, with jsdom's window and its rules for requests to another origin: OpenFeature's web provider.
import { JSDOM, VirtualConsole } from "jsdom";

const [origin, baseUrl, token, repository, feature] = process.argv.slice(2);
const virtualConsole = new VirtualConsole();
virtualConsole.on("jsdomError", (error) => console.error(error.message));
const { window } = new JSDOM("", { url: `${origin}/`, virtualConsole, pretendToBeVisual: true });
for (const name of ["window", "document", "XMLHttpRequest"]) globalThis[name] = window[name] ?? window;
// fetch over the window's XMLHttpRequest, which sends Origin and asks for leave first.
const { fetch, Headers, Request } = await import("whatwg-fetch");
Object.assign(globalThis, { Headers, Request });
const { OFREPWebProvider } = await import("@openfeature/ofrep-web-provider");
const { OpenFeature, ProviderEvents } = await import("@openfeature/web-sdk");

const provider = new OFREPWebProvider({
  baseUrl,
  fetchImplementation: fetch,
  headers: [["Authorization", `Bearer ${token}`]],
  pollInterval: 50,
});
const flags = OpenFeature.getClient();
try {
  await OpenFeature.setContext({ targetingKey: repository });
  const changed = new Promise((resolve) => flags.addHandler(ProviderEvents.ConfigurationChanged, resolve));
  await OpenFeature.setProviderAndWait(provider);
  console.log(JSON.stringify(flags.getBooleanDetails(feature, false)));
  await changed;
  console.log(JSON.stringify(flags.getBooleanDetails(feature, false)));
} catch (error) {
  console.log(JSON.stringify({ refused: String(error.message) }));
}
process.exit();
