import { describe, expect, it } from "vitest";
import { parseGoTemplate, TemplateError } from "./go-template.ts";

const data = {
  services: {
    http: [
      { Name: "web", Ep: ["10.0.0.1:80", "10.0.0.2:80"], Host: "www.example.com", SessionAffinity: true, Port: 80 },
      { Name: "api", Ep: [], Host: "", SessionAffinity: false, Port: 81 },
    ],
    tcp: [],
  },
  startSyslog: "true",
  defLbAlgorithm: "roundrobin",
};

// What Go's text/template makes of the same.
describe("what a template makes", () => {
  it.each([
    ["plain", "plain"],
    ["{{ .startSyslog }}", "true"],
    ['{{if eq .startSyslog "true"}}log{{else}}none{{end}}', "log"],
    ["{{if .services.tcp}}a{{else if .services.http}}b{{else}}c{{end}}", "b"],
    ["{{range $i, $svc := .services.http}}{{$i}}={{$svc.Name}};{{end}}", "0=web;1=api;"],
    [
      "{{range .services.http}}{{.Name}}{{range $j, $ep := .Ep}} {{$j}}:{{$ep}}{{else}} none{{end}},{{end}}",
      "web 0:10.0.0.1:80 1:10.0.0.2:80,api none,",
    ],
    ["{{range .services.http}}{{if and .Host .SessionAffinity}}{{.Host}}{{end}}{{end}}", "www.example.com"],
    ["{{range .services.http}}{{$.defLbAlgorithm}} {{end}}", "roundrobin roundrobin "],
    ["{{with .services.http}}{{len .}}{{end}}{{with .services.tcp}}x{{else}}-{{end}}", "2-"],
    ["a\n  {{- if true }}\n  b\n  {{- end }}\nc", "a\n  b\nc"],
    ["a {{- /* words }} */ -}} b", "ab"],
    ["{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"],
    ["{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}", "1"],
    ['{{ printf "%s-%d%%" .startSyslog 5 | printf "<%v>" }}', "<true-5%>"],
    ["{{ (index .services.http 0).Name }}", "web"],
    ["{{ index .services.http 1 | print }}", "map[Ep:[] Host: Name:api Port:81 SessionAffinity:false]"],
    [
      '{{ or .none .startSyslog }} {{ not .none }} {{ and 1 0 }} {{ eq 3 1 2 3 }} {{ lt 1 2 }} {{ ge "b" "a" }}',
      "true true 0 true true true",
    ],
    ["{{ .none }}", "<no value>"],
    ['{{ "}}" }}{{ `a"b` }}', '}}a"b'],
  ])("%s", (template, expected) => {
    expect(parseGoTemplate(template)(data)).toBe(expected);
  });
});

describe("what is wrong is named with its line", () => {
  it.each([
    ["a\n{{if .x}}", "line 2: {{if}} without {{end}}"],
    ["{{end}}", "line 1: {{end}} without a beginning"],
    ["\n\n{{ .a", "line 3: {{ without }}"],
    ['{{template "x"}}', "line 1: {{template}} is not supported"],
    ['{{ env "HOME" }}', "line 1: function env is not supported"],
    ["{{ }}", "line 1: an action is empty"],
    ["{{ .a ) }}", "line 1: an action has words that mean nothing"],
    ["{{ ; }}", 'line 1: ";'],
  ])("%s", (template, message) => {
    expect(() => parseGoTemplate(template)).toThrow(TemplateError);
    expect(() => parseGoTemplate(template)).toThrow(message);
  });

  it.each([
    ["{{ $y }}", "variable $y is not declared"],
    ["{{ .startSyslog.x }}", ".x of true"],
    ["{{range 5}}{{end}}", "range over 5"],
    ["{{ index .services.http 7 }}", "index: index 7 of"],
    ["{{ .startSyslog 1 }}", "only a function can be given values"],
    ['{{ lt 1 "a" }}', "lt: only numbers"],
    ['{{ index .services "constructor" "x" }}', "index"],
  ])("%s, when it is filled in", (template, message) => {
    expect(() => parseGoTemplate(template)(data)).toThrow(message);
  });

  it("one that makes too much ends", () => {
    const wide = { a: Array.from({ length: 1_000 }, () => "x".repeat(100)) };
    const template = "{{range .a}}{{range $.a}}{{.}}{{end}}{{end}}";
    expect(() => parseGoTemplate(template)(wide)).toThrow(/more than \d+ characters/);
  });
});
