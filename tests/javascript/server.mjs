// A service in Node: asks by OpenFeature's server provider until the flag is off.
import { OFREPProvider } from "@openfeature/ofrep-provider";
import { OpenFeature } from "@openfeature/server-sdk";

const [baseUrl, token, repository, feature] = process.argv.slice(2);
const headers = [["Authorization", `Bearer ${token}`]];

await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers }));
const flags = OpenFeature.getClient();
const asked = () => flags.getBooleanDetails(feature, false, { targetingKey: repository });

const first = await asked();
console.log(JSON.stringify(first));
if (first.value) {
  while ((await asked()).value) await new Promise((resolve) => setTimeout(resolve, 20));
  console.log(JSON.stringify(await asked()));
}
await OpenFeature.close();
