/**
 * Replaces `$(NAME)` by the variable's value; `$$` is a dollar sign, and a name that is not known stays as it is
 * written. As Kubernetes does it for command, args, env and subPathExpr.
 */
export function expand(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (written, name: string | undefined) => {
    if (written === "$$") return "$";
    return name !== undefined && Object.hasOwn(variables, name) ? (variables[name] ?? "") : written;
  });
}
