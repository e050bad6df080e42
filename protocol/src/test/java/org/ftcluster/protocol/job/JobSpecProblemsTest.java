package org.ftcluster.protocol.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is said of bad job files. */
class JobSpecProblemsTest {
  /** Line 4, and those after it, are what a case adds. */
  private static final String START =
      """
      model: {path: base}
      data: {train: {path: train.jsonl}}
      checkpoint: {path: out}
      """;

  @TempDir Path folder;

  @BeforeEach
  void files() throws IOException {
    JobFolder.fill(folder);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      textBlock =
          """
          training: {learning_rat: 1}                | training.learning_rat is unknown; the nearest known key is training.learning_rate.
          trainning: {seed: 1}                       | trainning is unknown; the nearest known key is training.
          learning_rate: 1e-4                        | learning_rate is unknown; the nearest known key is training.learning_rate.
          training: {lora_alpha: 1}                  | training.lora_alpha is unknown; the nearest known key is adapter.lora_alpha.
          adapter: {alpha: 16}                       | adapter.alpha is unknown; the nearest known key is adapter.lora_alpha.
          training: {per_device_train_batch_size: 4} | training.per_device_train_batch_size is unknown; the nearest known key is training.micro_batch_size.
          training: {1: 2}                           | training.1 is unknown; the nearest known key is training.seed.
          training: 3                                | training must be a section such as {num_train_epochs: ..., max_steps: ...}, not 3.
          training: [1, 2]                           | training must be a section such as {num_train_epochs: ..., max_steps: ...}, not a list.
          training: {learning_rate: fast}            | training.learning_rate must be a number of 0 or more, not fast.
          training: {learning_rate: "1e-4"}          | training.learning_rate must be a number of 0 or more, not "1e-4".
          training: {learning_rate: -1e-4}           | training.learning_rate must be a number of 0 or more, not -1e-4.
          training: {learning_rate: .nan}            | training.learning_rate must be a number of 0 or more, not .nan.
          training: {learning_rate: 1e999}           | training.learning_rate must be a number of 0 or more, not 1e999.
          training: {learning_rate: [1e-4]}          | training.learning_rate must be a number of 0 or more, not a list.
          training: {num_train_epochs: 0}            | training.num_train_epochs must be a number above 0, not 0.
          training: {warmup_ratio: 3}                | training.warmup_ratio must be a number from 0 to 1, not 3.
          training: {adam_beta1: 1}                  | training.adam_beta1 must be a number of at least 0 and below 1, not 1.
          training: {max_steps: -1}                  | training.max_steps must be a whole number of 0 or more, not -1.
          training: {max_steps: 10.5}                | training.max_steps must be a whole number of 0 or more, not 10.5.
          training: {seed: 99999999999999999999}     | training.seed must be a whole number of at most 9223372036854775807, not 99999999999999999999.
          training: {global_batch_size: 5000000000}  | training.global_batch_size must be a whole number of at most 2147483647, not 5000000000.
          training: {micro_batch_size: 0}            | training.micro_batch_size must be a whole number of 1 or more, not 0.
          training: {micro_batch_size: 33}           | training.micro_batch_size is 33, but must not be above training.global_batch_size, which is 32.
          training: {lr_scheduler_type: cosin}       | training.lr_scheduler_type must be constant or linear or cosine, not cosin.
          training: {gradient_checkpointing: yes}    | training.gradient_checkpointing must be auto or false or true, not yes.
          training: {reduction: quick}               | training.reduction must be exact or fast or bfloat16, not quick.
          adapter: {r: sixteen}                      | adapter.r must be a whole number of 1 or more, not sixteen.
          adapter: {lora_dropout: 1.0}               | adapter.lora_dropout must be a number of at least 0 and below 1, not 1.0.
          adapter: {target_modules: q_proj}          | adapter.target_modules must be all-linear or a list such as [q_proj, v_proj], not q_proj.
          adapter: {target_modules: []}              | adapter.target_modules must be all-linear or a list such as [q_proj, v_proj], not a list.
          adapter: {target_modules: [all-linear, q]} | adapter.target_modules must be all-linear or a list such as [q_proj, v_proj], not a list.
          adapter: {init_from: nowhere}              | adapter.init_from names DIR/nowhere, but there is no such folder.
          adapter: {init_from: base}                 | adapter.init_from names DIR/base, which is not a PEFT adapter: it has no adapter_config.json.
          adapter: {type: none, init_from: adapter}  | adapter.init_from names an adapter, but adapter.type is none; leave one out.
          evaluation: {every_steps: 5}               | evaluation.every_steps is 5, but there is nothing to evaluate; give data.eval, or leave it out.
          evaluation: {keep_best: true}              | evaluation.keep_best is true, but evaluation.every_steps is 0; give the steps between evaluations, or leave it out.
          evaluation: {patience: 3}                  | evaluation.patience is 3, but evaluation.every_steps is 0; give the steps between evaluations, or leave it out.
          evaluation: {patience: -1}                 | evaluation.patience must be a whole number of 0 or more, not -1.
          preference: {loss: kto}                    | preference.loss must be dpo or ipo or simpo or orpo, not kto.
          preference: {beta: 0}                      | preference.beta must be a number above 0, not 0.
          preference: {label_smoothing: 0.5}         | preference.label_smoothing must be a number of at least 0 and below 0.5, not 0.5.
          preference: {loss: ipo, label_smoothing: 0.1} | preference.label_smoothing is for loss dpo, not ipo; leave it out.
          preference: {gamma: 1}                     | preference.gamma is for loss simpo, not dpo; leave it out.
          preference: {loss: dpo}\\nadapter: {type: none} | preference.loss is dpo, which compares the model with what it was before, but adapter.type none leaves nothing of that; give simpo or orpo, or train an adapter.
          preference: {rl: dpo}                      | preference.rl is unknown; the nearest known key is preference.loss.
          parallel: {tensor: 16}                     | parallel.tensor is 16, but data 1 x tensor 16 x pipeline 1 are 16 workers, which must not be above elastic.max_workers, which is 8.
          parallel: {data: 3, tensor: 3}             | parallel.tensor is 3, but data 3 x tensor 3 x pipeline 1 are 9 workers, which must not be above elastic.max_workers, which is 8.
          parallel: {pipeline: 9}                    | parallel.pipeline is 9, but data 1 x tensor 1 x pipeline 9 are 9 workers, which must not be above elastic.max_workers, which is 8.
          parallel: {interleave: 2}                  | parallel.interleave is 2, but there is one stage only; give parallel.pipeline 2 or more, or leave it out.
          parallel: {sharding_group: 2}              | parallel.sharding_group is 2, but parallel.sharding is none; give zero1, zero2 or zero3, or leave it out.
          parallel: {tensor: 2, sharding: zero2, sharding_group: 3} | parallel.sharding_group is 3, but must be a multiple of the 2 workers that a copy of the model takes.
          parallel: {data: 6, sharding: zero2, sharding_group: 4} | parallel.sharding_group is 4, but must divide the 6 workers of parallel.data, tensor and pipeline.
          offload: {parameters: disk}\\nparallel: {sharding: zero3} | offload.parameters is disk, but parallel.sharding is zero3, which shares the same weights out; leave one out.
          offload: {parameters: disk}\\nadapter: {type: none} | offload.parameters is disk, but adapter.type is none, which leaves no frozen weights; leave it out.
          offload: {parameters: tape}                | offload.parameters must be auto or none or cpu or disk, not tape.
          offload: {optimizer: ssd}                  | offload.optimizer must be auto or none or cpu or disk, not ssd.
          offload: {optimizer: cpu}                  | offload.optimizer is cpu, which is where it is with resources.device cpu anyway; give disk or none.
          offload: {activations: disk}\\nresources: {device: cuda} | offload.activations is disk, which is not supported yet together with resources.device cuda; give cpu.
          parallel: {data: all}                      | parallel.data must be auto or a whole number of 1 or more, not all.
          parallel: {data: 9}                        | parallel.data is 9, but must not be above elastic.max_workers, which is 8.
          elastic: {min_workers: 9}                  | elastic.min_workers is 9, but must not be above elastic.max_workers, which is 8.
          resources: {device: gpu}                   | resources.device must be cpu or cuda, not gpu.
          offload: {parameters: disk}\\nresources: {device: cuda} | offload.parameters is disk, which is not supported yet together with resources.device cuda; give cpu.
          resources: {threads: 0}                    | resources.threads must be a whole number of 1 or more, not 0.
          resources: {sockets: 17}                   | resources.sockets must be a whole number of at most 16, not 17.
          name: ../up                                | name must be at most 63 letters, digits, dots, dashes and underscores, and begin with a letter or digit, not ../up.
          training: {seed: 1, seed: 2}               | training.seed is there twice, first on line 4; leave one.
          model: {path: base}                        | model is there twice, first on line 1; leave one.
          training: {[1]: 2}                         | training has a key that is no word.
          training: {seed: 1                         | LINE 5: this is not valid YAML: expected ',' or '}', but got <stream end>.
          training: seed: 1                          | this is not valid YAML: mapping values are not allowed here.
          \\ttraining: {}                             | this is not valid YAML: found character '\\t(TAB)' that cannot start any token. (Do not use \\t(TAB) for indentation).
          resources: &a {threads: 1}\\ntraining: *a  | LINE 5: training is an alias of what stands on line 4; write it out.
          training: &a {seed: *a}                    | training.seed is an alias of what stands on line 4; write it out.
          """)
  void namesLineKeyAndWhatWouldBeRight(String added, String sentence) {
    String where = "job.yaml:4: ";
    String rest = sentence;
    if (sentence.startsWith("LINE 5: ")) {
      where = "job.yaml:5: ";
      rest = sentence.substring("LINE 5: ".length());
    }
    assertEquals(
        List.of(where + rest.replace("DIR", folder.toString())),
        problems(START + added.replace("\\n", "\n").replace("\\t", "\t") + "\n"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      textBlock =
          """
          {path: base}           | {}                                       | model.path is missing; it is the Hugging Face model folder to start from.
          {path: base}           | {path: ""}                               | model.path is missing; it is the Hugging Face model folder to start from.
          {path: base}           | {path: bas}                              | model.path names DIR/bas, but there is no such folder.
          {path: base}           | {path: adapter}                          | model.path names DIR/adapter, which is not a Hugging Face model: it has no config.json.
          {path: base}           | {path: [base]}                           | model.path must be text, not a list.
          {path: base}           | {path: "a\\0"}                           | model.path is no path: Nul character not allowed.
          {path: base}           | {path: base, dtype: float16}             | model.dtype must be bfloat16 or float32, not float16.
          {path: base}           | {path: base, quantization: nf4}          | model.quantization must be a section such as {type: ..., double_quant: ...}, not nf4.
          {path: base}           | {path: base, quantization: {type: int4}} | model.quantization.type must be none or int8 or nf4, not int4.
          {path: out}            | {path: base}                             | checkpoint.path is the model's own folder; give another one.
          {path: out}            | {path: train.jsonl}                      | checkpoint.path names DIR/train.jsonl, which is a file; give a folder.
          {path: out}            | {path: out, keep: 0}                     | checkpoint.keep must be a whole number of 1 or more, not 0.
          {path: out}            | {path: s3://b/runs}                      | checkpoint.path is s3://b/runs, but must be a folder on the workers' machines; add checkpoint.remote: s3://b/runs for a copy there.
          {path: out}            | {path: out, remote: gs://bucket/runs}    | checkpoint.remote must be s3://BUCKET/PREFIX or a folder, not gs://bucket/runs.
          {path: out}            | {path: out, remote: s3://Bucket/runs}    | checkpoint.remote must be s3://BUCKET/PREFIX with a bucket of 3 to 63 lower-case letters, digits, dots and dashes, not s3://Bucket/runs.
          {path: out}            | {path: out, remote: s3://bucket/a//b}    | checkpoint.remote is s3://bucket/a//b, but a prefix has no spaces, and no empty, . or .. parts.
          {path: out}            | {path: out, remote: s3://bucket/../b}    | checkpoint.remote is s3://bucket/../b, but a prefix has no spaces, and no empty, . or .. parts.
          {path: out}            | {path: out, remote: ./out}               | checkpoint.remote is checkpoint.path itself; name another place, or leave it out.
          {path: out}            | {path: out, endpoint: http://h:1}        | checkpoint.endpoint belongs to checkpoint.remote: s3://BUCKET/PREFIX, which is not given.
          {path: out}            | {path: out, remote: copy, region: x}     | checkpoint.region belongs to checkpoint.remote: s3://BUCKET/PREFIX, which is not given.
          {path: out}            | {path: out, remote: s3://bkt, endpoint: h:1} | checkpoint.endpoint must be an address such as http://10.0.0.1:9000, not h:1.
          {path: out}            | {path: out, remote: s3://bkt, endpoint: "http://me:secret@h"} | checkpoint.endpoint must not hold credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where workers start.
          {path: out}            | {path: out, remote: s3://bkt, region: "?"} | checkpoint.region must be a name such as eu-central-1, not ?.
          checkpoint: {path: out} | -                                       | NOWHERE: checkpoint.path is missing; it is the folder that results and checkpoints go to.
          {train: {path: train.jsonl}} | {}                                 | data.train.path is missing; it is a JSONL file, one sample a line.
          {path: train.jsonl}    | {path: base}                             | data.train.path names DIR/base, but there is no such file.
          {path: train.jsonl}    | train.jsonl                              | data.train must be a section such as {path: ..., prompt: ...}, not train.jsonl.
          {path: train.jsonl}    | {path: train.jsonl, prompt: {prompt}}    | data.train.prompt must be text, in quotes where it begins with {, not a mapping.
          {path: train.jsonl}    | {path: train.jsonl, messages: m, prompt: a} | data.train.messages stands beside prompt or response; leave one out.
          {path: train.jsonl}    | {path: train.jsonl, messages: ""}        | data.train.messages is empty; give the field that has a line's conversation.
          {path: train.jsonl}    | {path: train.jsonl, messages: m, chat_template: x} | data.train.chat_template names DIR/x, but there is no such file.
          {path: train.jsonl}    | {path: train.jsonl, chat_template: train.jsonl} | data.train.chat_template is for conversations; give messages, their field, too.
          {path: train.jsonl}    | {path: train.jsonl, chat_template_kwargs: {a: 1}} | data.train.chat_template_kwargs is for conversations; give messages, their field, too.
          {path: train.jsonl}    | {path: train.jsonl, messages: m, chat_template_kwargs: yes} | data.train.chat_template_kwargs must be settings such as {enable_thinking: false}, not yes.
          {path: train.jsonl}    | {path: train.jsonl, messages: m, chat_template_kwargs: {a: [1]}} | data.train.chat_template_kwargs.a must be true, false, a number or text, not a list.
          {path: train.jsonl}    | {path: train.jsonl, messages: m, chat_template_kwargs: {tools: x}} | data.train.chat_template_kwargs.tools is told to every template; leave it out.
          {path: train.jsonl}    | {path: train.jsonl, messages: {a: b}}    | data.train.messages must be a field or a list of fields such as [prompt, completion].
          {path: train.jsonl}    | {path: train.jsonl, messages: []}        | data.train.messages is empty; give the field that has a line's conversation.
          {path: train.jsonl}    | {path: train.jsonl, messages: [a, [b]]}  | data.train.messages must be a field or a list of fields such as [prompt, completion].
          {path: train.jsonl}    | {path: train.jsonl, chosen: c}           | data.train.chosen is for pairs of answers; give preference, such as {loss: dpo}, too.
          {path: train.jsonl}    | {path: train.jsonl, rejected_messages: r} | data.train.rejected_messages is for pairs of answers; give preference, such as {loss: dpo}, too.
          {path: train.jsonl}}   | {path: train.jsonl}, eval: {}}           | data.eval.path is missing; it is a JSONL file, one sample a line.
          {path: train.jsonl}}   | {path: train.jsonl}, eval: {path: x}}    | data.eval.path names DIR/x, but there is no such file.
          {path: train.jsonl}}   | {path: train.jsonl}, max_length: 1}      | data.max_length must be a whole number of 2 or more, not 1.
          """)
  void checksWhatAJobNeeds(String written, String instead, String sentence) {
    int line = START.substring(0, START.indexOf(written)).split("\n", -1).length;
    String yaml = START.replace(written, instead.equals("-") ? "" : instead);
    String expected =
        sentence.startsWith("NOWHERE")
            ? "job.yaml" + sentence.substring("NOWHERE".length())
            : "job.yaml:" + line + ": " + sentence;
    assertEquals(List.of(expected.replace("DIR", folder.toString())), problems(yaml));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      textBlock =
          """
          data.train.response=r             | data.train.response is for samples of one answer, but preference asks for two; give chosen and rejected, or chosen_messages and rejected_messages.
          data.train.chosen_messages=c      | data.train.rejected_messages is missing; give the field that has a line's conversation.
          data.packing=true                 | data.packing is true, but pairs of answers aren't packed; leave it out, or preference.
          adapter.init_from=adapter         | adapter.init_from is given, but preference.loss dpo compares with the model without its adapter; make one model of both with `ftcluster merge` and begin from that.
          """)
  void saysWhatPairsAsk(String set, String sentence) {
    List<String> problems = problems(START, "preference.loss=dpo", set);

    assertEquals(1, problems.size(), problems.toString());
    assertTrue(problems.getFirst().endsWith(": " + sentence), problems.getFirst());
  }

  @Test
  void packedWeightsCannotBeTrained() {
    assertEquals(
        List.of(
            "--set model.quantization.type=nf4: model.quantization.type must be none where"
                + " adapter.type is none: every weight is trained, and packed weights can't be."),
        problems(START, "adapter.type=none", "model.quantization.type=nf4"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      textBlock =
          """
          training.seed                  | this is no key and value, such as training.seed=7.
          =7                             | this is no key and value, such as training.seed=7.
          training.sed=7                 | training.sed is unknown; the nearest known key is training.seed.
          training.seed=x                | training.seed must be a whole number of 0 or more, not x.
          training.seed={                | this is not valid YAML: expected the node content, but found '<stream end>'.
          model.path.x=7                 | model.path is no section, so nothing can be set below it.
          data.train.prompt={prompt}     | data.train.prompt must be text, in quotes where it begins with {, not a mapping.
          training.micro_batch_size=64   | training.micro_batch_size is 64, but must not be above training.global_batch_size, which is 32.
          """)
  void namesTheFlagThatIsWrong(String set, String sentence) {
    assertEquals(List.of("--set " + set + ": " + sentence), problems(START, set));
  }

  @Test
  void reportsEverythingAtOnceInTheOrderOfTheFile() {
    assertEquals(
        List.of(
            "--set resources.threads=many: resources.threads must be a whole number of 1 or"
                + " more, not many.",
            "job.yaml:2: model.path names DIR/nowhere, but there is no such folder.",
            "job.yaml:3: adapter.rr is unknown; the nearest known key is adapter.r.",
            "job.yaml:5: data.train.path names DIR/nothing.jsonl, but there is no such file.",
            "job.yaml:6: data.train.pormpt is unknown; the nearest known key is"
                + " data.train.prompt.",
            "job.yaml:7: training.micro_batch_size must be a whole number of 1 or more,"
                + " not 0.",
            "job.yaml:8: parallel.interleave is 2, but there is one stage only; give"
                + " parallel.pipeline 2 or more, or leave it out."),
        problems(
                """
                name: many
                model: {path: nowhere}
                adapter: {rr: 4}
                data:
                  train: {path: nothing.jsonl,
                    pormpt: x}
                training: {global_batch_size: 2, micro_batch_size: 0}
                parallel: {interleave: 2}
                checkpoint: {path: out}
                """,
                "resources.threads=many")
            .stream()
            .map(sentence -> sentence.replace(folder.toString(), "DIR"))
            .toList());
  }

  @Test
  void saysWhenThereIsNothingToRead() throws IOException {
    for (String yaml : List.of("", "# nothing\n", "just text", "[1]")) {
      assertEquals(
          List.of(
              "job.yaml: this holds no keys; a job file has at least model, data and"
                  + " checkpoint."),
          problems(yaml));
    }
    Path binary = Files.write(folder.resolve("b.yaml"), new byte[] {(byte) 0xff, 0, 1});
    Path missing = folder.resolve("missing.yaml");
    assertEquals(
        binary + ": this is not a text file in UTF-8.",
        assertThrows(JobSpecException.class, () -> JobSpecReader.read(binary, List.of()))
            .getMessage());
    assertEquals(
        missing + ": there is no such file.",
        assertThrows(JobSpecException.class, () -> JobSpecReader.read(missing, List.of()))
            .getMessage());
  }

  private List<String> problems(String yaml, String... sets) {
    JobSpecException thrown =
        assertThrows(
            JobSpecException.class,
            () -> JobSpecReader.parse(yaml, "job.yaml", folder, List.of(sets)));
    return thrown.problems().stream().map(Problem::sentence).toList();
  }
}
