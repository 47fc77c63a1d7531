import { Command, Option } from "commander";
import {
  contractKinds,
  loadProvider,
  ProviderModuleError,
  runContract,
  type ContractResult,
} from "../loadbalancer/index.ts";
import { systemClock } from "../system/index.ts";
import { CliError } from "./errors.ts";

export function providerCommand(): Command {
  const command = new Command("provider").description("Look after load balancer providers.");
  command
    .command("test")
    .description("Hold a provider, an ES module, against the contract: every rule, and cut off after every step.")
    .argument("<module>", "file that exports createProvider(config)")
    .option("--provider-config <json>", "what createProvider is given", "{}")
    .option("--provider-ids <text>", "spec.providerID of the nodes that are tried, with their number in place of %")
    .addOption(new Option("-o, --output <format>", "text or json").choices(["text", "json"]).default("text"))
    .addHelpText(
      "after",
      `
It makes load balancers of its own and removes them: give it a place where that does no harm. Exit code 0: every rule is kept.

Example:
  fairlead provider test examples/provider/files.mjs --provider-config '{"folder":"/tmp/balancers"}'`,
    )
    .action(test);
  return command;
}

async function test(
  module: string,
  options: { providerConfig: string; providerIds?: string; output: string },
): Promise<void> {
  let config: unknown;
  try {
    config = JSON.parse(options.providerConfig);
  } catch {
    throw new CliError("USAGE", "--provider-config is not JSON", `write it as '{"folder":"/tmp/x"}'`);
  }
  const create = () => loadProvider(module, config);
  const { capabilities } = await create().catch((error: unknown) => {
    if (error instanceof ProviderModuleError) throw new CliError("BAD_FILE", error.message);
    throw new CliError("BAD_FILE", `${module}: createProvider fails: ${String(error)}`);
  });
  const text = options.output === "text";
  const { providerIds } = options;
  const results: ContractResult[] = [];
  const kinds = contractKinds(capabilities);
  // Who serves neither is told so by the first rule.
  for (const of of kinds.length > 0 ? kinds : ["Services" as const]) {
    if (text && kinds.length > 1) console.log(`${of}:`);
    const found = await runContract({
      create,
      of,
      sleep: (ms) => systemClock.sleep(ms),
      signal: new AbortController().signal,
      ...(providerIds === undefined ? {} : { providerId: (node) => providerIds.replaceAll("%", String(node)) }),
      onResult({ rule, ok, message }) {
        if (text)
          console.log(`${ok ? "ok    " : "FAILED"}  ${rule}${message === undefined ? "" : `\n        ${message}`}`);
      },
    });
    results.push(...found.map((one) => (kinds.length > 1 ? { ...one, rule: `${of}: ${one.rule}` } : one)));
  }
  const failed = results.filter(({ ok }) => !ok).length;
  if (text) console.log(`${results.length - failed} of ${results.length} rules are kept`);
  else console.log(JSON.stringify(results, null, 2));
  if (failed > 0) throw new CliError("FAILED", `${module} does not keep the contract`);
}
