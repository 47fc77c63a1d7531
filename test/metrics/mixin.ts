/**
 * What the rules, alerts and dashboards of kubernetes-mixin ask of an API server, of controllers and of clients: the selectors of their queries,
 * without the one of the job.
 */
export const mixinSelectors: readonly string[] = [
  ...["resource|", "namespace", "cluster"].map(
    (scope, i) =>
      `apiserver_request_sli_duration_seconds_bucket{verb=~"LIST|GET",subresource!~"proxy|attach|log|exec|portforward",scope=~"${scope}",le=~"${["1", "5", "30"][i]}(\\.0)?"}`,
  ),
  'apiserver_request_sli_duration_seconds_bucket{verb=~"POST|PUT|PATCH|DELETE",subresource!~"proxy|attach|log|exec|portforward",le=~"1(\\.0)?"}',
  'apiserver_request_sli_duration_seconds_count{verb=~"LIST|GET",subresource!~"proxy|attach|log|exec|portforward"}',
  'apiserver_request_sli_duration_seconds_count{verb=~"POST|PUT|PATCH|DELETE",subresource!~"proxy|attach|log|exec|portforward"}',
  'apiserver_request_total{verb=~"LIST|GET",code=~"2.."}',
  'apiserver_request_total{verb=~"POST|PUT|PATCH|DELETE",code=~"2.."}',
  'apiserver_request_total{verb="GET",code=~"4.."}',
  "apiserver_client_certificate_expiration_seconds_bucket{}",
  "apiserver_client_certificate_expiration_seconds_count{}",
  'apiserver_current_inflight_requests{request_kind="readOnly"}',
  'apiserver_current_inflight_requests{request_kind="mutating"}',
  'apiserver_longrunning_requests{verb="WATCH"}',
  'aggregator_unavailable_apiservice{name="v1.mixin.example.com"}',
  'aggregator_unavailable_apiservice_total{name="v1.mixin.example.com",reason="ServiceNotFound"}',
  'workqueue_adds_total{name=~".+"}',
  'workqueue_depth{name=~".+"}',
  'workqueue_queue_duration_seconds_bucket{name=~".+",le=~".+"}',
  'workqueue_work_duration_seconds_bucket{name=~".+",le=~".+"}',
  'rest_client_requests_total{code=~"2..",method="POST",host=~".+"}',
  'rest_client_request_duration_seconds_bucket{verb="POST",le=~".+"}',
  'rest_client_request_duration_seconds_bucket{verb="GET",le=~".+"}',
  'etcd_request_duration_seconds_bucket{operation="create",group="discovery.k8s.io",resource="endpointslices"}',
  'kubernetes_build_info{git_version=~"v1\\..+",platform=~"linux/.+"}',
  'apiserver_storage_objects{resource="configmaps"}',
  "process_resident_memory_bytes{}",
  "process_cpu_seconds_total{}",
  "process_start_time_seconds{}",
];

/** Series that a selector of PromQL (equality and whole regular expressions) finds in a scrape. */
export function seriesOf(scrape: string, selector: string): string[] {
  const [, name = "", matchers = ""] = /^(\w+)\{(.*)\}$/.exec(selector) ?? [];
  const wanted = [...matchers.matchAll(/(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"/g)].map(
    ([, label = "", operator = "", value = ""]) => {
      const text = value.replaceAll("\\\\", "\\");
      const found = operator.endsWith("~") ? new RegExp(`^(?:${text})$`) : undefined;
      const holds = (is: string): boolean => (found ? found.test(is) : is === text);
      return { label, holds: operator.startsWith("!") ? (is: string) => !holds(is) : holds };
    },
  );
  return scrape.split("\n").filter((line) => {
    const [, series = "", labels = ""] = /^(\w+)(?:\{(.*)\})? \S+$/.exec(line) ?? [];
    if (series !== name) return false;
    const values = new Map([...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, l = "", v = ""]) => [l, v]));
    return wanted.every(({ label, holds }) => holds(values.get(label) ?? ""));
  });
}
