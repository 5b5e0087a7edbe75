import { Checkbox, NativeSelect, Textarea, TextInput } from '@mantine/core';
import type { Field } from './schema-fields.ts';

interface ToolFieldProps {
  readonly field: Field;
  readonly value: string;
  readonly problem: string | null;
  readonly onChange: (value: string) => void;
}

/** One input of a tool. */
export function ToolField({ field, value, problem, onChange }: ToolFieldProps) {
  const common = { description: field.description, error: problem, label: field.name, required: field.isRequired };
  switch (field.kind) {
    case 'boolean':
      return (
        <Checkbox
          checked={value === 'true'}
          description={field.description}
          label={field.name}
          onChange={(event) => onChange(event.currentTarget.checked ? 'true' : 'false')}
        />
      );
    case 'choice':
      return (
        <NativeSelect
          {...common}
          data={field.isRequired && value !== '' ? [...field.choices] : ['', ...field.choices]}
          onChange={(event) => onChange(event.currentTarget.value)}
          value={value}
        />
      );
    case 'json':
      return (
        <Textarea
          {...common}
          label={`${field.name} (JSON)`}
          onChange={(event) => onChange(event.currentTarget.value)}
          rows={3}
          spellCheck={false}
          styles={{ input: { fontFamily: 'var(--mono)' } }}
          value={value}
        />
      );
    case 'text':
    case 'number':
    case 'integer':
      return (
        <TextInput
          {...common}
          autoComplete="off"
          inputMode={field.kind === 'text' ? 'text' : 'decimal'}
          onChange={(event) => onChange(event.currentTarget.value)}
          spellCheck={false}
          value={value}
        />
      );
  }
}
