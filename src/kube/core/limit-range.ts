import { createStrategy } from "../base-strategy.ts";
import type { LimitRangeItem } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { isQualifiedName } from "../values/names.ts";
import { compareQuantities, milliValue } from "../values/quantity.ts";

type Amounts = Readonly<Record<string, string>>;

const containerResource = /^(cpu|memory|ephemeral-storage|hugepages-.+)$/;
const standardResource =
  /^(cpu|memory|ephemeral-storage|requests\.(cpu|memory|ephemeral-storage)|limits\.(cpu|memory|ephemeral-storage)|pods|resourcequotas|services|replicationcontrollers|secrets|configmaps|persistentvolumeclaims|storage)$/;

export const limitRangeStrategy = createStrategy(resources.LimitRange, {
  allowCreateOnUpdate: true,
  defaults(range) {
    for (const item of range.spec?.limits ?? []) {
      if (item.type !== "Container") continue;
      // A limit that is not given is the highest that is allowed; a request that is not given is the limit, else the lowest.
      item.default = { ...item.max, ...item.default };
      item.defaultRequest = { ...item.min, ...item.default, ...item.defaultRequest };
      if (Object.keys(item.default).length === 0) delete item.default;
      if (Object.keys(item.defaultRequest).length === 0) delete item.defaultRequest;
    }
  },
  *validate({ spec }) {
    const seen = new Set<string>();
    for (const [i, item] of (spec?.limits ?? []).entries()) {
      const path = `spec.limits[${i}]`;
      yield* validateType(item.type, `${path}.type`);
      if (seen.has(item.type)) yield fault.duplicate(`${path}.type`, item.type);
      seen.add(item.type);
      yield* validateItem(item, path);
    }
  },
});

function* validateType(type: string, path: string): Faults {
  yield* invalids(path, type, isQualifiedName(type));
  if (!type.includes("/") && !["Pod", "Container", "PersistentVolumeClaim"].includes(type))
    yield fault.invalid(path, type, "must be a standard limit type or fully qualified");
}

function* validateItem(item: LimitRangeItem, path: string): Faults {
  const { type, max = {}, min = {}, maxLimitRequestRatio: ratios = {} } = item;
  const isPod = type === "Pod";
  const fields: [string, Amounts][] = [
    ["max", max],
    ["min", min],
    ...(isPod
      ? []
      : ([
          ["default", item.default ?? {}],
          ["defaultRequest", item.defaultRequest ?? {}],
        ] as [string, Amounts][])),
    ["maxLimitRequestRatio", ratios],
  ];
  for (const [field, amounts] of fields)
    for (const name of Object.keys(amounts)) yield* validateName(type, name, `${path}.${field}[${name}]`);
  if (isPod) {
    for (const field of ["default", "defaultRequest"] as const) {
      if (Object.keys(item[field] ?? {}).length > 0)
        yield fault.forbidden(`${path}.${field}`, "may not be specified when `type` is 'Pod'");
    }
  }
  if (type === "PersistentVolumeClaim" && min["storage"] === undefined && max["storage"] === undefined) {
    const text = "either minimum or maximum storage value is required, but neither was provided";
    yield fault.required(`${path}.limits`, text);
  }
  const names = new Set(fields.flatMap(([, amounts]) => Object.keys(amounts)));
  for (const name of names) yield* validateAmounts(item, name, isPod, path);
}

function* validateName(type: string, name: string, path: string): Faults {
  const messages = isQualifiedName(name);
  yield* invalids(path, name, messages);
  if (messages.length > 0 || name.includes("/")) return;
  if (type === "Pod" || type === "Container") {
    if (!containerResource.test(name)) {
      if (!standardResource.test(name))
        yield fault.invalid(path, name, "must be a standard resource type or fully qualified");
      yield fault.invalid(path, name, "must be a standard resource for containers");
    }
    return;
  }
  if (!standardResource.test(name) && !containerResource.test(name))
    yield fault.invalid(path, name, "must be a standard resource type or fully qualified");
}

function* validateAmounts(item: LimitRangeItem, name: string, isPod: boolean, path: string): Faults {
  const lowest = item.min?.[name];
  const highest = item.max?.[name];
  const limit = isPod ? undefined : item.default?.[name];
  const request = isPod ? undefined : item.defaultRequest?.[name];
  const ratio = item.maxLimitRequestRatio?.[name];
  const exceeds = (a: string | undefined, b: string | undefined): boolean =>
    a !== undefined && b !== undefined && compareQuantities(a, b) > 0;
  const at = (field: string): string => `${path}.${field}[${name}]`;
  if (exceeds(lowest, highest))
    yield fault.invalid(at("min"), lowest, `min value ${lowest} is greater than max value ${highest}`);
  if (exceeds(lowest, request))
    yield fault.invalid(
      at("defaultRequest"),
      request,
      `min value ${lowest} is greater than default request value ${request}`,
    );
  if (exceeds(request, highest))
    yield fault.invalid(
      at("defaultRequest"),
      request,
      `default request value ${request} is greater than max value ${highest}`,
    );
  if (exceeds(request, limit))
    yield fault.invalid(
      at("defaultRequest"),
      request,
      `default request value ${request} is greater than default limit value ${limit}`,
    );
  if (exceeds(lowest, limit))
    yield fault.invalid(at("default"), lowest, `min value ${lowest} is greater than default value ${limit}`);
  if (exceeds(limit, highest))
    yield fault.invalid(at("default"), highest, `default value ${limit} is greater than max value ${highest}`);
  if (ratio === undefined) return;
  if (compareQuantities(ratio, "1") < 0)
    yield fault.invalid(at("maxLimitRequestRatio"), ratio, `ratio ${ratio} is less than 1`);
  if (lowest === undefined || highest === undefined) return;
  const most = milliValue(highest) / milliValue(lowest);
  if (milliValue(ratio) / 1000 > most)
    yield fault.invalid(
      at("maxLimitRequestRatio"),
      ratio,
      `ratio ${ratio} is greater than max/min = ${most.toFixed(6)}`,
    );
}
