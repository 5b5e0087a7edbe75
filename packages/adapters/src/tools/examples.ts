import type { ToolExample } from '@skein/protocol';

/** The ways people ask for each tool, for a brain that matches requests by words. At most 16 a tool. */
export const shellExecExamples: readonly ToolExample[] = [
  { say: 'run {command}', input: { command: '{command}' } },
  { say: 'execute {command}', input: { command: '{command}' } },
  { say: 'run the command {command}', input: { command: '{command}' } },
  { say: 'list running processes', input: { command: 'ps aux' } },
  { say: 'what processes are running', input: { command: 'ps aux' } },
  { say: 'top processes by memory use', input: { command: 'ps -eo pid,user,pmem,rss,comm --sort=-rss' } },
  { say: 'top processes by cpu use', input: { command: 'ps -eo pid,user,pcpu,time,comm --sort=-pcpu' } },
  { say: 'show disk usage of all file systems', input: { command: 'df -h' } },
  { say: 'show memory usage', input: { command: 'free -h' } },
  { say: 'show the uptime and load', input: { command: 'uptime' } },
  { say: 'which kernel version does it run', input: { command: 'uname -a' } },
  { say: 'what time is it', input: { command: 'date' } },
  { say: 'what is the date', input: { command: 'date' } },
  { say: 'who is logged in', input: { command: 'who' } },
  { say: 'show open ports', input: { command: 'ss -tuln' } },
  { say: 'show the cpu details', input: { command: 'lscpu' } },
];

export const readFileExamples: readonly ToolExample[] = [
  { say: 'read {path}', input: { path: '{path}' } },
  { say: 'read the file {path}', input: { path: '{path}' } },
  { say: 'show the file {path}', input: { path: '{path}' } },
  { say: 'show me the contents of {path}', input: { path: '{path}' } },
  { say: 'what is in {path}', input: { path: '{path}' } },
  { say: 'what is in the file {path}', input: { path: '{path}' } },
  { say: 'what does {path} say', input: { path: '{path}' } },
  { say: 'open {path}', input: { path: '{path}' } },
  { say: 'print {path}', input: { path: '{path}' } },
  { say: 'cat {path}', input: { path: '{path}' } },
  { say: 'show the first {limit} lines of {path}', input: { path: '{path}', limit: '{limit}' } },
  { say: 'show the first lines of {path}', input: { path: '{path}', limit: 20 } },
  { say: 'show the last lines of {path}', input: { path: '{path}', offset: -20 } },
  { say: 'tail {path}', input: { path: '{path}', offset: -20 } },
];

export const writeFileExamples: readonly ToolExample[] = [
  { say: 'write {content} to {path}', input: { path: '{path}', content: '{content}' } },
  { say: 'write {content} to the file {path}', input: { path: '{path}', content: '{content}' } },
  { say: 'save {content} as {path}', input: { path: '{path}', content: '{content}' } },
  { say: 'save {content} to {path}', input: { path: '{path}', content: '{content}' } },
  { say: 'create the file {path} with {content}', input: { path: '{path}', content: '{content}' } },
  { say: 'put {content} into {path}', input: { path: '{path}', content: '{content}' } },
];

export const listFilesExamples: readonly ToolExample[] = [
  { say: 'list files', input: {} },
  { say: 'list the files', input: {} },
  { say: 'show the files', input: {} },
  { say: 'what files are there', input: {} },
  { say: 'list files in {path}', input: { path: '{path}' } },
  { say: 'show the files in {path}', input: { path: '{path}' } },
  { say: 'what files are in {path}', input: { path: '{path}' } },
  { say: 'what is in the folder {path}', input: { path: '{path}' } },
  { say: 'show the folder {path}', input: { path: '{path}' } },
  { say: 'list the directory {path}', input: { path: '{path}' } },
  { say: 'list everything under {path}', input: { path: '{path}', depth: 8 } },
  { say: 'list all files and folders', input: { depth: 8 } },
  { say: 'how many files are there', input: {}, field: 'count', label: 'files', unit: 'count' },
  { say: 'count the files in {path}', input: { path: '{path}' }, field: 'count', label: 'files', unit: 'count' },
  { say: 'how many files are in {path}', input: { path: '{path}' }, field: 'count', label: 'files', unit: 'count' },
];

export const httpGetExamples: readonly ToolExample[] = [
  { say: 'fetch {url}', input: { url: '{url}' } },
  { say: 'get {url}', input: { url: '{url}' } },
  { say: 'get the page {url}', input: { url: '{url}' } },
  { say: 'open the page {url}', input: { url: '{url}' } },
  { say: 'read the web page {url}', input: { url: '{url}' } },
  { say: 'download {url}', input: { url: '{url}' } },
  { say: 'show {url}', input: { url: '{url}' } },
  { say: 'go to {url}', input: { url: '{url}' } },
  { say: 'what is on {url}', input: { url: '{url}' } },
  { say: 'what does {url} say', input: { url: '{url}' } },
  { say: 'what does the page {url} say', input: { url: '{url}' } },
  { say: 'is {url} up', input: { url: '{url}' }, field: 'status', label: 'HTTP status' },
  { say: 'is {url} reachable', input: { url: '{url}' }, field: 'status', label: 'HTTP status' },
  { say: 'check {url}', input: { url: '{url}' }, field: 'status', label: 'HTTP status' },
  { say: 'how fast does {url} answer', input: { url: '{url}' }, field: 'ms', label: 'milliseconds to answer' },
];

export const systemInfoExamples: readonly ToolExample[] = [
  { say: 'how full is the disk', input: {}, field: 'disk.usedPercent', label: 'disk used', unit: 'percent' },
  { say: 'how much disk space is free', input: {}, field: 'disk.freeBytes', label: 'free disk space', unit: 'bytes' },
  { say: 'how big is the disk', input: {}, field: 'disk.totalBytes', label: 'disk size', unit: 'bytes' },
  { say: 'how much free memory', input: {}, field: 'memory.freeBytes', label: 'free memory', unit: 'bytes' },
  { say: 'how much memory is used', input: {}, field: 'memory.usedPercent', label: 'memory used', unit: 'percent' },
  { say: 'how much memory does it have', input: {}, field: 'memory.totalBytes', label: 'memory', unit: 'bytes' },
  { say: 'how long has it been up', input: {}, field: 'uptimeSeconds', label: 'uptime', unit: 'seconds' },
  { say: 'what is the uptime', input: {}, field: 'uptimeSeconds', label: 'uptime', unit: 'seconds' },
  { say: 'what is the load', input: {}, field: 'loadAverage1', label: 'load average over one minute' },
  { say: 'what is the cpu usage', input: {}, field: 'loadAverage1', label: 'load average over one minute' },
  { say: 'how many cpus does it have', input: {}, field: 'cpuCount', label: 'processors', unit: 'count' },
  { say: 'how many cores', input: {}, field: 'cpuCount', label: 'processors', unit: 'count' },
  { say: 'what is the hostname', input: {}, field: 'hostname', label: 'host name' },
  { say: 'which operating system does it run', input: {}, field: 'operatingSystem', label: 'operating system' },
  { say: 'what architecture is the processor', input: {}, field: 'arch', label: 'processor architecture' },
  { say: 'show system information', input: {} },
];

export const dbQueryExamples: readonly ToolExample[] = [
  { say: 'run the query {sql}', input: { sql: '{sql}' } },
  { say: 'run the sql {sql}', input: { sql: '{sql}' } },
  { say: 'query the database {sql}', input: { sql: '{sql}' } },
  { say: 'query the database {database} for {sql}', input: { sql: '{sql}', database: '{database}' } },
  { say: 'show the rows of the table {table}', input: { sql: 'SELECT * FROM {table}' } },
  {
    say: 'how many rows are in the table {table}',
    input: { sql: 'SELECT count(*) AS count FROM {table}' },
    field: 'rows.0.count',
    label: 'rows',
    unit: 'count',
  },
  {
    say: 'count the rows of the table {table}',
    input: { sql: 'SELECT count(*) AS count FROM {table}' },
    field: 'rows.0.count',
    label: 'rows',
    unit: 'count',
  },
];

export const dbSchemaExamples: readonly ToolExample[] = [
  { say: 'which tables does the database have', input: {} },
  { say: 'what tables are in the database', input: {} },
  { say: 'show the tables of the database', input: {} },
  { say: 'show the database schema', input: {} },
  { say: 'list the tables of the database {database}', input: { database: '{database}' } },
  { say: 'how many tables does the database have', input: {}, field: 'count', label: 'tables', unit: 'count' },
  { say: 'describe the table {table}', input: { table: '{table}' } },
  { say: 'which columns does the table {table} have', input: { table: '{table}' } },
];

export const scrapeExamples: readonly ToolExample[] = [
  { say: 'scrape {url}', input: { url: '{url}' } },
  { say: 'scrape the page {url}', input: { url: '{url}' } },
  { say: 'read the article {url}', input: { url: '{url}' } },
  { say: 'get the text of the page {url}', input: { url: '{url}' } },
  { say: 'what is the title of the page {url}', input: { url: '{url}' }, field: 'title', label: 'title' },
  { say: 'list the links on the page {url}', input: { url: '{url}', part: 'links' } },
  { say: 'which links are on the page {url}', input: { url: '{url}', part: 'links' } },
  { say: 'how many links are on the page {url}', input: { url: '{url}' }, field: 'linkCount', label: 'links', unit: 'count' },
];
