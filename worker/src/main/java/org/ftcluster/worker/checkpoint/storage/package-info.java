/** Where files are kept off the node: a folder that outlives it, or S3-compatible storage. */
@NullMarked
package org.ftcluster.worker.checkpoint.storage;

import org.jspecify.annotations.NullMarked;
