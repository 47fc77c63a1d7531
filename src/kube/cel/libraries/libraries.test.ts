import { describe, expect, it } from "vitest";
import {
  authorizerType,
  authorizerValue,
  compileExpression,
  dyn,
  dynamicValue,
  toJson,
  type AuthorizationQuestion,
  type ExpressionAuthorizer,
} from "../index.ts";

const run = (source: string, self: unknown = null): unknown => {
  const compiled = compileExpression(source, { variables: { self: dyn } });
  if (!compiled.ok) return compiled.message.split("\n")[0]?.replace(/^ERROR: <input>:\d+:\d+: /, "compile: ");
  const result = compiled.evaluate({ self: dynamicValue(self) });
  if (result.error !== undefined) return `error: ${result.error}`;
  return result.value === undefined ? result.costExceeded : toJson(result.value);
};

/** One table a library: an expression and its value as JSON. */
const table = (name: string, rows: readonly (readonly [string, unknown])[]): void => {
  describe(name, () => {
    it.each(rows)("%s", (source, expected) => {
      expect(run(source)).toEqual(expected);
    });
  });
};

table("strings", [
  ["'hello'.charAt(4)", "o"],
  ["'hello'.charAt(5)", ""],
  ["'hello'.charAt(6)", "error: index out of range: 6"],
  ["'a😀b'.charAt(1)", "😀"],
  ["'hello mellow'.indexOf('')", 0],
  ["'hello mellow'.indexOf('ello')", 1],
  ["'hello mellow'.indexOf('jello')", -1],
  ["'hello mellow'.indexOf('', 2)", 2],
  ["'hello mellow'.indexOf('ello', 2)", 7],
  ["'hello mellow'.indexOf('ello', 20)", "error: index out of range: 20"],
  ["'😀hello'.indexOf('e')", 2],
  ["'hello mellow'.lastIndexOf('')", 12],
  ["'hello mellow'.lastIndexOf('ello')", 7],
  ["'hello mellow'.lastIndexOf('jello')", -1],
  ["'hello mellow'.lastIndexOf('ello', 6)", 1],
  ["'hello mellow'.lastIndexOf('ello', -1)", "error: index out of range: -1"],
  ["['hello', 'mellow'].join()", "hellomellow"],
  ["['hello', 'mellow'].join(' ')", "hello mellow"],
  ["[].join('/')", ""],
  ["'TacoCat'.lowerAscii()", "tacocat"],
  ["'TacoCÆt Xii'.lowerAscii()", "tacocÆt xii"],
  ["'TacoCæt'.upperAscii()", "TACOCæT"],
  ["'hello hello'.replace('he', 'we')", "wello wello"],
  ["'hello hello'.replace('he', 'we', -1)", "wello wello"],
  ["'hello hello'.replace('he', 'we', 1)", "wello hello"],
  ["'hello hello'.replace('he', 'we', 0)", "hello hello"],
  ["'abc'.replace('', '-')", "-a-b-c-"],
  ["'a.b'.replace('.', '$&')", "a$&b"],
  ["'hello hello hello'.split(' ')", ["hello", "hello", "hello"]],
  ["'hello hello hello'.split(' ', 0)", []],
  ["'hello hello hello'.split(' ', 1)", ["hello hello hello"]],
  ["'hello hello hello'.split(' ', 2)", ["hello", "hello hello"]],
  ["'hello hello hello'.split(' ', -1)", ["hello", "hello", "hello"]],
  ["'abc'.split('')", ["a", "b", "c"]],
  ["'tacocat'.substring(4)", "cat"],
  ["'tacocat'.substring(0, 4)", "taco"],
  ["'tacocat'.substring(-1)", "error: index out of range: -1"],
  ["'tacocat'.substring(2, 1)", "error: invalid substring range. start: 2, end: 1"],
  ["'tacocat'.substring(40)", "error: index out of range: 40"],
  ["' \\ttrim\\n '.trim()", "trim"],
  ["strings.quote('a\"b\\n')", '"a\\"b\\n"'],
  ["'%s is %d and %.2f'.format(['x', 3, 1.5])", "x is 3 and 1.50"],
  ["'%s %s'.format([{'a': 1}, [1, 2]])", "{a: 1} [1, 2]"],
  ["'%s'.format([{'b': 1, 'a': 2}])", "{a: 2, b: 1}"],
  ["'%x %X %o %b %%'.format([255, 255, 8, 5])", "ff FF 10 101 %"],
  ["'%e'.format([1234.5])", "1.234500e+03"],
  [
    "'%d'.format(['x'])",
    "error: error during formatting: decimal clause can only be used on integers, was given string",
  ],
  ["'%s'.format([])", "error: index 0 out of range"],
  ["'%z'.format([1])", 'error: could not parse formatting clause: unrecognized formatting clause "z"'],
  ["'abc'.reverse()", "compile: undeclared reference to 'reverse' (in container '')"],
]);

table("lists", [
  ["[1, 2, 2].isSorted()", true],
  ["['b', 'a'].isSorted()", false],
  ["[1, 2, 3].sum()", 6],
  ["[1.5, 2.0].sum()", 3.5],
  ["[duration('1m'), duration('1s')].sum() == duration('61s')", true],
  ["[3, 1, 2].min()", 1],
  ["['a', 'c', 'b'].max()", "c"],
  ["[1].filter(x, false).max()", "error: max called on empty list"],
  ["[1, 2, 2].indexOf(2)", 1],
  ["[1, 2, 2].lastIndexOf(2)", 2],
  ["['a'].indexOf('b')", -1],
  ["[dyn('a'), dyn(1)].isSorted()", "error: no such overload"],
]);

table("sets", [
  ["sets.contains([1, 2, 3, 4], [2, 3])", true],
  ["sets.contains([1], [])", true],
  ["sets.contains([], [1])", false],
  ["sets.equivalent([1, 2, 3], [3, 2, 1, 1])", true],
  ["sets.equivalent([1], [1, 2])", false],
  ["sets.intersects([1], [1, 2])", true],
  ["sets.intersects([1], [])", false],
]);

table("regex", [
  ["'abc 123'.find('[0-9]+')", "123"],
  ["'abc'.find('[0-9]+')", ""],
  ["'123 abc 456'.findAll('[0-9]+')", ["123", "456"]],
  ["'123 abc 456'.findAll('[0-9]+', 1)", ["123"]],
  ["'123 abc 456'.findAll('[0-9]+', 0)", []],
  ["'x'.matches('(')", "error: error parsing regexp: missing closing ): `(`"],
  ["'aXb'.matches('(?i)x')", true],
]);

table("urls", [
  ["isURL('https://user:pass@example.com:80/path?query=val#fragment')", true],
  ["isURL('/absolute-path')", true],
  ["isURL('https://a:b:c/')", false],
  ["isURL('../relative-path')", false],
  ["isURL('')", false],
  ["url('https://example.com:80/path').getScheme()", "https"],
  ["url('/path').getScheme()", ""],
  ["url('https://example.com:80/').getHost()", "example.com:80"],
  ["url('https://[::1]:80/').getHost()", "[::1]:80"],
  ["url('https://[::1]:80/').getHostname()", "::1"],
  ["url('https://example.com:80/').getHostname()", "example.com"],
  ["url('https://example.com:80/').getPort()", "80"],
  ["url('https://example.com/').getPort()", ""],
  ["url('https://example.com/path with spaces/').getEscapedPath()", "/path%20with%20spaces/"],
  ["url('https://example.com/path?k1=a&k2=b&k2=c').getQuery()", { k1: ["a"], k2: ["b", "c"] }],
  [
    "url('https://example.com/path?key with spaces=value with spaces').getQuery()",
    { "key with spaces": ["value with spaces"] },
  ],
  ["url('https://example.com/a') == url('https://example.com/a')", true],
]);

table("quantities", [
  ["isQuantity('1.3G')", true],
  ["isQuantity('200K')", false],
  ["isQuantity('Three')", false],
  ["quantity('50000000G').isInteger()", true],
  ["quantity('9999999999999999999999999999999999999G').isInteger()", false],
  ["quantity('50k').asInteger()", 50000],
  ["quantity('1500m').asInteger()", "error: cannot convert value to integer"],
  ["quantity('1500m').asApproximateFloat()", 1.5],
  ["quantity('-1').sign()", -1],
  ["quantity('0').sign()", 0],
  ["quantity('50k').add(quantity('20k')) == quantity('70k')", true],
  ["quantity('50k').add(20) == quantity('50020')", true],
  ["quantity('50k').sub(20000) == quantity('30k')", true],
  ["quantity('200M').compareTo(quantity('0.2G'))", 0],
  ["quantity('50M').compareTo(quantity('50Mi'))", -1],
  ["quantity('150Mi').isGreaterThan(quantity('100Mi'))", true],
  ["quantity('50M').isLessThan(quantity('100M'))", true],
  ["quantity('1Ki') == quantity('1024')", true],
]);

table("addresses", [
  ["isIP('127.0.0.1')", true],
  ["isIP('::1')", true],
  ["isIP('127.0.0.256')", false],
  ["isIP('01.0.0.1')", false],
  ["isIP('::ffff:1.2.3.4')", false],
  ["isIP('fe80::1%eth0')", false],
  ["ip('127.0.0.1').family()", 4],
  ["ip('::1').family()", 6],
  ["ip.isCanonical('127.0.0.1')", true],
  ["ip.isCanonical('2001:DB8::abcd')", false],
  ["ip.isCanonical('2001:db8::0:0:0:abcd')", false],
  ["ip('0.0.0.0').isUnspecified()", true],
  ["ip('127.0.0.1').isLoopback()", true],
  ["ip('224.0.0.1').isLinkLocalMulticast()", true],
  ["ip('169.254.169.254').isLinkLocalUnicast()", true],
  ["ip('192.168.0.1').isGlobalUnicast()", true],
  ["ip('255.255.255.255').isGlobalUnicast()", false],
  ["ip('::1') == ip('0::1')", true],
  ["string(ip('2001:DB8::1'))", "2001:db8::1"],
  ["type(ip('::1')) == net.IP", true],
  ["isCIDR('192.168.0.0/24')", true],
  ["isCIDR('192.168.0.0/33')", false],
  ["isCIDR('192.168.0.0')", false],
  ["cidr('192.168.0.0/24').containsIP(ip('192.168.0.1'))", true],
  ["cidr('192.168.0.0/24').containsIP('192.168.1.1')", false],
  ["cidr('192.168.0.0/16').containsCIDR(cidr('192.168.10.0/24'))", true],
  ["cidr('192.168.0.0/24').containsCIDR('192.168.0.0/16')", false],
  ["cidr('192.168.0.1/24').ip() == ip('192.168.0.1')", true],
  ["cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24')", true],
  ["cidr('192.168.0.1/24') == cidr('192.168.0.0/24')", false],
  ["cidr('::1/128').prefixLength()", 128],
  ["string(cidr('2001:db8::/32'))", "2001:db8::/32"],
]);

table("formats", [
  ["format.dns1123Label().validate('my-name').hasValue()", false],
  ["format.dns1123Label().validate('My.Name').hasValue()", true],
  ["format.named('dns1123Subdomain').value().validate('a.b').hasValue()", false],
  ["format.named('nope').hasValue()", false],
  ["!format.uuid().validate('123e4567-e89b-12d3-a456-426614174000').hasValue()", true],
  ["!format.date().validate('2024-02-30').hasValue()", false],
  ["!format.datetime().validate('2024-02-29T00:00:00Z').hasValue()", true],
  ["!format.byte().validate('aGVsbG8=').hasValue()", true],
  ["!format.uri().validate('http://x/y').hasValue()", true],
  ["!format.labelValue().validate('a_b').hasValue()", true],
  ["!format.qualifiedName().validate('example.com/a').hasValue()", true],
  ["!format.dns1123LabelPrefix().validate('a-').hasValue()", true],
]);

table("versions", [
  ["isSemver('1.2.3')", true],
  ["isSemver('1.2')", false],
  ["isSemver('v1.2')", false],
  ["isSemver('v01.2', true)", true],
  ["semver('v1.2', true) == semver('1.2.0')", true],
  ["semver('1.2.3').major()", 1],
  ["semver('1.2.3').minor()", 2],
  ["semver('1.2.3-rc.1').patch()", 3],
  ["semver('1.2.3').isGreaterThan(semver('1.2.3-rc.1'))", true],
  ["semver('1.0.0-alpha.2').isLessThan(semver('1.0.0-alpha.10'))", true],
  ["semver('1.0.0+a').compareTo(semver('1.0.0+b'))", 0],
]);

table("optionals", [
  ["optional.of(1).hasValue()", true],
  ["optional.none().hasValue()", false],
  ["optional.ofNonZeroValue('').hasValue()", false],
  ["optional.of(1).value()", 1],
  ["optional.none().value()", "error: optional.none() dereference"],
  ["{'a': 1}.?a.orValue(2)", 1],
  ["{'a': 1}.?b.orValue(2)", 2],
  ["{'a': {'b': 1}}.?c.b.orValue(2)", 2],
  ["{'a': 1}[?'b'].orValue(3)", 3],
  ["[1, 2][?5].orValue(9)", 9],
  ["optional.none().or(optional.of(4)).value()", 4],
  ["[?optional.of(1), ?optional.none(), 2]", [1, 2]],
  ["{?'a': optional.none(), ?'b': optional.of(1)}", { b: 1 }],
  ["optional.of(2).optMap(x, x * 2).value()", 4],
  ["optional.of(2).optFlatMap(x, optional.of(x + 1)).value()", 3],
  ["has({'a': {'c': 1}}.?a.c)", true],
  ["has({'a': {'c': 1}}.?b.c)", false],
]);

table("patches", [["jsonpatch.escapeKey('a/b~c')", "a~1b~0c"]]);

describe("authorizer", () => {
  const asked: (AuthorizationQuestion & { user: string })[] = [];
  const authorizerFor = (user: string): ExpressionAuthorizer => ({
    ask: (question) => {
      asked.push({ ...question, user });
      return question.verb === "boom"
        ? { allowed: false, error: "broken" }
        : { allowed: question.verb === "get", reason: "rule" };
    },
    as: (namespace, name) => authorizerFor(`${namespace}:${name}`),
  });
  const ask = (source: string) => {
    asked.length = 0;
    const compiled = compileExpression(source, { variables: { authorizer: authorizerType } });
    if (!compiled.ok) return compiled.message;
    const result = compiled.evaluate({ authorizer: authorizerValue(authorizerFor("me")) });
    return result.error ?? result.costExceeded ?? result.value;
  };

  it("asks about resources", () => {
    expect(
      ask(
        "authorizer.group('apps').resource('deployments').subresource('status').namespace('a').name('b').check('get').allowed()",
      ),
    ).toBe(true);
    expect(asked).toEqual([
      {
        user: "me",
        type: "resource",
        verb: "get",
        group: "apps",
        resource: "deployments",
        subresource: "status",
        namespace: "a",
        name: "b",
      },
    ]);
  });
  it("asks about paths, for other users, and tells why", () => {
    expect(ask("authorizer.serviceAccount('ns', 'sa').path('/healthz').check('list').reason()")).toBe("rule");
    expect(asked).toEqual([{ user: "ns:sa", type: "path", path: "/healthz", verb: "list" }]);
    expect(ask("authorizer.path('/x').check('boom').errored()")).toBe(true);
    expect(ask("authorizer.path('/x').check('boom').error()")).toBe("broken");
    expect(ask("authorizer.path('').check('get').allowed()")).toBe("path must not be empty");
  });
  it("two questions fit into one call, three do not", () => {
    const one = "authorizer.path('/x').check('list').allowed()";
    expect(ask(`${one} || ${one}`)).toBe(false);
    expect(ask(`${one} || ${one} || ${one}`)).toBe("call");
  });
});
