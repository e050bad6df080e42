/**
 * The job file: records that hold a checked job, and the reader that turns YAML into them.
 *
 * <p>Names are those that Hugging Face and PEFT users know; a record component {@code learningRate}
 * is the key {@code learning_rate}.
 */
@NullMarked
package org.ftcluster.protocol.job;

import org.jspecify.annotations.NullMarked;
