export function clientPrograms(): string | undefined;
