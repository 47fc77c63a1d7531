import {
  addQuantities,
  canonicalIp,
  canonicalQuantity,
  canonicalTime,
  formatOf,
  cidrContains,
  compareQuantities,
  formatCidr,
  formatIp,
  imageVersion,
  isConfigKey,
  isDns1035Label,
  isDns1123Label,
  isDns1123Subdomain,
  isEnvironmentName,
  isHttpHeaderName,
  isImageReference,
  isLabelValue,
  isPathSegment,
  isPortName,
  isQualifiedName,
  isWildcardDns1123Subdomain,
  milliValue,
  parseCidr,
  parseDuration,
  parseGroupVersionKind,
  parseIndexes,
  parseIp,
  parseQuantity,
  parseSchedule,
  parseTime,
  percentOf,
  StatusError,
  unitValue,
} from "../../../src/kube/index.ts";
import { readDate, readDuration, readTimestamp, formatDuration, formatTimestamp } from "../../../src/kube/cel/time.ts";
import { broken, outcome, type Target } from "../target.ts";

export const quantity: Target = {
  name: "quantity",
  form: "text",
  words: ["m", "k", "Ki", "M", "Mi", "E", "Ei", "n", "u", "e3", "E-3", ".", "-", "+", "0", "9"],
  seeds: () => ["1", "500m", "1.5Gi", "-0.1e3", "12E", "+3n", "9223372036854775807", ".5", "5."],
  run: (input) =>
    outcome([RangeError], () => {
      const text = input.toString();
      const written = canonicalQuantity(text);
      if (canonicalQuantity(written) !== written) broken(`${written} is not canonical`);
      if (compareQuantities(text, written) !== 0) broken(`${written} is not as much as ${text}`);
      milliValue(text);
      unitValue(text);
      parseQuantity(addQuantities(text, text));
      return written;
    }),
};

export const address: Target = {
  name: "address",
  form: "text",
  words: [":", "::", ".", "/", "1", "255", "ffff", "0", "%eth0", "/33", "/0"],
  seeds: () => [
    "10.0.0.1",
    "::ffff:1.2.3.4",
    "fe80::1%eth0",
    "10.0.0.0/8",
    "2001:db8::/32",
    "::",
    "01.2.3.4",
    "1.2.3.4/32",
  ],
  run(input) {
    const text = input.toString();
    const ip = parseIp(text);
    if (ip) {
      const written = formatIp(ip);
      const again = parseIp(written);
      // IPv4 within IPv6 is written as the IPv4 that it is, as Go writes it.
      const isMapped = ip.family === "IPv6" && ip.value >> 32n === 0xffffn;
      if (!again || (!isMapped && (again.value !== ip.value || again.family !== ip.family)))
        broken(`${written} is not ${text}`);
      canonicalIp(text);
    }
    const cidr = parseCidr(text);
    if (cidr) {
      const written = formatCidr(cidr);
      if (!parseCidr(written)) broken(`${written} is no CIDR`);
      if (ip) cidrContains(cidr, ip);
    }
    return `${ip?.family} ${cidr?.family}`;
  },
};

export const times: Target = {
  name: "times",
  form: "text",
  words: [
    "T",
    "Z",
    "+01:00",
    "-",
    ":",
    ".",
    "h",
    "m",
    "s",
    "ms",
    "us",
    "µs",
    "ns",
    "24",
    "60",
    "99",
    "1970",
    "9999",
    "0001",
  ],
  seeds: () => [
    "2030-01-01T00:00:00Z",
    "2030-02-29T23:59:60.123456789+14:00",
    "1h30m",
    "-1.5s",
    "300ms",
    "1us2ns",
    "0",
    "2030-01-01",
    "9999-12-31T23:59:59Z",
  ],
  run(input) {
    const text = input.toString();
    const canonical = canonicalTime(text, true);
    if (canonical !== undefined && canonicalTime(canonical, true) !== canonical)
      broken(`${canonical} is not canonical`);
    const time = parseTime(text);
    if (time !== undefined && !Number.isFinite(time)) broken(`${text} is the time ${time}`);
    const duration = parseDuration(text);
    if (duration !== undefined && Number.isNaN(duration)) broken(`${text} lasts NaN`);
    const exact = readDuration(text);
    if (exact && readDuration(formatDuration(exact))?.nanos !== exact.nanos)
      broken(`${text} is not as long as ${formatDuration(exact)}`);
    const stamp = readTimestamp(text);
    if (stamp && readTimestamp(formatTimestamp(stamp))?.nanos !== stamp.nanos)
      broken(`${text} is not ${formatTimestamp(stamp)}`);
    readDate(text);
    return [canonical, time, duration, exact, stamp].map((one) => one !== undefined).join();
  },
};

export const schedule: Target = {
  name: "schedule",
  form: "text",
  words: [
    "*",
    "*/5",
    "1-5",
    ",",
    "jan",
    "SUN",
    "?",
    "/",
    "-",
    "@every ",
    "@daily",
    "TZ=Europe/Paris ",
    "CRON_TZ=UTC ",
    "60",
    "0",
    " ",
  ],
  seeds: () => [
    "*/5 * * * *",
    "0 0 1,15 jan-mar mon",
    "@every 1h30m",
    "@weekly",
    "CRON_TZ=UTC 5 4 * * ?",
    "0-59/7 1 * 2 3",
  ],
  run(input) {
    const found = parseSchedule(input.toString());
    if ("error" in found) return `refused ${found.error.replace(/[\d[\]]+.*/s, "")}`;
    if (found.type === "every" && !(found.milliseconds > 0)) broken(`every ${found.milliseconds} ms`);
    if (found.type === "times" && (found.minutes.size === 0 || found.months.size === 0)) broken("it never comes");
    return found.type;
  },
};

const names = {
  isConfigKey,
  isDns1035Label,
  isDns1123Label,
  isDns1123Subdomain,
  isEnvironmentName,
  isHttpHeaderName,
  isLabelValue,
  isPathSegment,
  isPortName,
  isQualifiedName,
  isWildcardDns1123Subdomain,
};

const formats =
  "bsonobjectid uri email hostname ipv4 ipv6 cidr mac uuid isbn creditcard ssn hexcolor rgbcolor byte date duration datetime k8s-short-name k8s-long-name".split(
    " ",
  );

export const name: Target = {
  name: "name",
  form: "text",
  words: ["-", ".", "/", "*.", "a", "A", "_", "a.b/c", ":", "@sha256:", "é", "%"],
  seeds: () => [
    "web-1.example.com",
    "a.b/C_d",
    "*.example.com",
    "registry:5000/a/b:v1@sha256:00",
    "HTTP_PROXY",
    "a@b.c",
    "1h30m5.5s",
    "rgb(1, 2,3)",
    "https://u@h:1/p?q#f",
    "50%",
    "1-3,5,7-9",
    "apps/v1",
  ],
  run(input) {
    const text = input.toString();
    isImageReference(text);
    imageVersion(text);
    percentOf(text);
    parseIndexes(text, 100);
    outcome([StatusError], () => parseGroupVersionKind(text, "X"));
    const fitting = formats.filter((format) => formatOf({ type: "string", format })?.test(text));
    return [...Object.values(names).map((check) => check(text).length), ...fitting].join();
  },
};
