#!/usr/bin/env node
/** The web servers behind the lab's images. */
import { runApplication } from '../lab/images/httpd.ts';

runApplication(process.argv[2]);
